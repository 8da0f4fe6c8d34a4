//! What a host and its modules share: interfaces, and the types that may cross the boundary.
//!
//! A crate that both sides depend on declares traits with [`macro@interface`] and derives [`macro@Transfer`] for its own
//! types:
//!
//! ```
//! use relib_interface::{Transfer, interface};
//!
//! #[derive(Transfer)]
//! pub struct Player {
//!     pub name: String,
//!     pub score: u64,
//! }
//!
//! /// What the module implements and the host calls.
//! #[interface]
//! pub trait Exports {
//!     fn greet(name: &str) -> String;
//!     fn add_score(player: &mut Player, points: u64);
//! }
//!
//! /// What the host implements and the module calls.
//! #[interface(imports)]
//! pub trait Imports {
//!     fn log(line: &str);
//! }
//! # fn main() {}
//! ```
//!
//! For a trait `X` that modules implement the macro makes the handle `ModuleX`, whose methods the host calls; for a
//! trait that the host implements it makes `ModuleX` with functions that the module calls. Both sides are built
//! separately; the host compares the descriptions of both before it loads a module, so that the calls are safe.
//!
//! This crate must know nothing of loading, allocating or unloading: it describes and copies values, and it catches
//! panics at the boundary.

// The macros name this crate by its path, also in its own tests and examples.
extern crate self as relib_interface;

pub mod crossing;
pub mod imports;
pub mod interface;
pub mod panics;
pub mod saved;
pub mod state;
pub mod transfer;

pub use relib_macros::{Transfer, interface};
pub use state::StateMut;
pub use transfer::Transfer;

/// What the macros' expansions refer to. Not part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::cross_by_copy;
    pub use crate::crossing::{Argument, Return, require_lent};
    pub use crate::imports::{ImportSlots, ProvideImports, ProvidedImports, call_import};
    pub use crate::interface::{BoundExports, ExportBinder, ExportsHandle, Interface, keep_record};
    pub use crate::panics::catch;
    pub use crate::saved::{Answer, Migration, Saved, Takeover};
    pub use crate::transfer::{MustNotImplementDrop, Recursion, Transfer, require_transfer};
    pub use relib_abi::call::{FunctionEntry, Outcome, RawSlice};
    pub use relib_abi::entry::{ExportTable, ImportTable};
    pub use relib_abi::metadata;
    pub use relib_abi::schema::{Field, Function, Parameter, Shape, Type, Variant, hash as schema_hash};
}
