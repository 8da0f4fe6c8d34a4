//! State that a module hands over as bytes: what crosses for that.
//!
//! A module serializes its state, the host keeps the bytes while there is no module, and the next build reads them. The
//! thunks are exported by name and not by an interface, because the host knows nothing of the state's type; the shape of
//! the type stands in the metadata. How values become bytes is the module's business.

use relib_abi::call::Outcome;

use crate::crossing::{Argument, Return};

/// What a thunk that may refuse returns: the text says why.
pub type Answer<T> = Result<T, String>;

/// The form of the saved type, see [`Type::form`](relib_abi::schema::Type::form), and the value's bytes.
pub type Saved = (u64, Vec<u8>);

/// Saves the module's state.
#[allow(improper_ctypes_definitions, reason = "both sides are built by the same compiler")]
pub type SaveThunk = unsafe extern "C" fn() -> Outcome<<Answer<Saved> as Return>::Wire>;

/// Takes state of the module's own type.
#[allow(improper_ctypes_definitions, reason = "both sides are built by the same compiler")]
pub type RestoreThunk =
    unsafe extern "C" fn(bytes: <&'static [u8] as Argument>::Wire) -> Outcome<<Answer<()> as Return>::Wire>;

/// Makes bytes of the module's own type of those of another: the other's form, what it looks like in words, its bytes.
#[allow(improper_ctypes_definitions, reason = "both sides are built by the same compiler")]
pub type MigrateThunk = unsafe extern "C" fn(
    form: u64,
    description: <&'static str as Argument>::Wire,
    bytes: <&'static [u8] as Argument>::Wire,
) -> Outcome<<Answer<Vec<u8>> as Return>::Wire>;

/// What a function that takes state over may return: nothing, or a `Result` whose error says why it refuses.
pub trait Takeover {
    /// Why the state is refused, in words.
    fn refusal(self) -> Answer<()>;
}

impl Takeover for () {
    fn refusal(self) -> Answer<()> {
        Ok(())
    }
}

impl<E: std::fmt::Display> Takeover for Result<(), E> {
    fn refusal(self) -> Answer<()> {
        self.map_err(|error| error.to_string())
    }
}

/// What a function that migrates state may return: a `Result` whose error says why it refuses.
pub trait Migration {
    /// The state that it makes.
    type State;

    /// The state, or why it is refused, in words.
    fn state(self) -> Answer<Self::State>;
}

impl<T, E: std::fmt::Display> Migration for Result<T, E> {
    type State = T;

    fn state(self) -> Answer<T> {
        self.map_err(|error| error.to_string())
    }
}
