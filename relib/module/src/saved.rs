//! State that the module hands over as bytes: serializing it, reading it, and reading that of an older build.

use relib_interface::Transfer;
use relib_interface::saved::{Answer, Saved};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a former build has saved, in another shape than this one's.
///
/// ```
/// use relib_module::{OldState, Transfer};
/// use serde::{Deserialize, Serialize};
///
/// /// As it was in the former build, under whatever name.
/// #[derive(Transfer, Serialize, Deserialize)]
/// struct CounterV1 {
///     count: u32,
/// }
///
/// #[derive(Transfer, Serialize, Deserialize)]
/// struct Counter {
///     count: u64,
///     step: u64,
/// }
///
/// #[relib_module::migrate_state]
/// fn migrate(old: OldState<'_>) -> Result<Counter, String> {
///     let old: CounterV1 = old.read()?;
///     Ok(Counter { count: old.count.into(), step: 1 })
/// }
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OldState<'a> {
    form: u64,
    description: &'a str,
    bytes: &'a [u8],
}

impl<'a> OldState<'a> {
    #[doc(hidden)]
    pub fn new(form: u64, description: &'a str, bytes: &'a [u8]) -> Self {
        Self { form, description, bytes }
    }

    /// Whether the state was saved as a value like `T`: with the same fields of the same types, in the same order. The
    /// names of structs and enums do not matter.
    pub fn is<T: Transfer>(&self) -> bool {
        T::TYPE.form() == self.form
    }

    /// Reads the state as a value like the one that was saved.
    ///
    /// # Errors
    /// If it was saved as something else than a `T`, in words.
    pub fn read<T: Transfer + DeserializeOwned>(&self) -> Result<T, String> {
        if !self.is::<T>() {
            return Err(format!("the state is {}, not {}", self.description, T::TYPE.path));
        }
        restore(self.bytes)
    }

    /// The type that was saved, in words.
    pub fn description(&self) -> &'a str {
        self.description
    }

    /// The bytes as they were saved, in the format of `postcard`.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Serializes a state.
pub fn save<T: Transfer + Serialize>(state: T) -> Answer<Saved> {
    let bytes = postcard::to_allocvec(&state).map_err(|error| format!("it cannot be serialized: {error}"))?;
    Ok((T::TYPE.form(), bytes))
}

/// Reads a state that was saved as the same type.
pub fn restore<T: DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((state, [])) => Ok(state),
        Ok((_, rest)) => Err(format!("it cannot be read: {} bytes are left over", rest.len())),
        Err(error) => Err(format!("it cannot be read: {error}")),
    }
}
