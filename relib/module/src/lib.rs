//! What a reloadable module depends on, beside the crate that it shares with its host.
//!
//! A module is a `cdylib`:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//! ```
//!
//! It exports what its host calls:
//!
//! ```
//! # mod shared {
//! #     #[relib_interface::interface]
//! #     pub trait Exports { fn greet(name: &str) -> String; }
//! # }
//! #[relib_module::export]
//! impl shared::Exports for ModuleExportsImpl {
//!     fn greet(name: &str) -> String {
//!         format!("hello {name}")
//!     }
//! }
//!
//! #[relib_module::export]
//! fn main() {
//!     println!("loaded");
//! }
//!
//! #[relib_module::export]
//! fn before_unload() {
//!     println!("about to be unloaded");
//! }
//! ```
//!
//! A type of the module's own that `main` returns is described by a derive of this crate:
//!
//! ```
//! # mod module {
//! #[derive(relib_module::Transfer)]
//! struct Summary {
//!     lines: u64,
//! }
//!
//! #[relib_module::export]
//! fn main() -> Summary {
//!     Summary { lines: 7 }
//! }
//! # }
//! # fn main() {}
//! ```
//!
//! Depending on this crate makes [`ModuleAlloc`] the module's global allocator, which takes memory from a heap that the
//! host frees as a whole. The imports by which the module starts threads, registers thread-local destructors or takes
//! resources are redirected when the host loads it; there is nothing to call and nothing to configure.
//!
//! This crate must stay small and pure Rust, and must know nothing of how the host works: it forwards through the
//! tables of `relib_abi`.

// Expansions of this crate's macros name it by its path, also in its own tests.
extern crate self as relib_module;

mod allocator;
mod context;
mod early;
mod entry;
mod imp;
#[cfg(feature = "serde")]
mod saved;
mod state;

pub use allocator::ModuleAlloc;
pub use relib_interface::transfer::Transfer;
pub use relib_macros::{TransferInModule as Transfer, export};
#[cfg(feature = "serde")]
pub use relib_macros::{migrate_state, restore_state, save_state};
#[cfg(feature = "serde")]
pub use saved::OldState;
pub use state::ChangeState;

/// Exports `fn main` or `fn before_unload`; the same as marking the function with [`macro@export`].
///
/// ```
/// relib_module::define_module_export! {
///     fn before_unload() {
///         println!("about to be unloaded");
///     }
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! define_module_export {
    ($function:item) => {
        #[$crate::export]
        $function
    };
}

/// What the macros' expansions refer to. Not part of the public interface.
#[doc(hidden)]
pub mod __private {
    #[cfg(feature = "serde")]
    pub use crate::saved::{OldState, restore, save};
    pub use relib_interface::__private::*;
}
