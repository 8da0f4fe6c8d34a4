//! The macros of relib, re-exported by the crates whose users need them.
//!
//! Each macro that users meet under several crates (`relib_interface`, `relib_module`, `relib`) has one entry point for
//! each, because the expansion must name a crate that the user depends on. Mistakes become spanned compile errors,
//! never panics. This crate must know nothing of what the generated code does at run time.

mod export;
mod implement;
mod interface;
mod lifetimes;
mod names;
mod recursion;
mod saved;
mod section;
mod signature;
mod transfer;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as TokenStream2;
use quote::quote;

fn respond(result: syn::Result<TokenStream2>) -> TokenStream {
    result.unwrap_or_else(|error| error.into_compile_error()).into()
}

/// Where the runtime support is found from a crate that depends on `relib_interface`.
fn interface_root() -> TokenStream2 {
    quote!(::relib_interface::__private)
}

/// Where the runtime support is found from a module.
fn module_root() -> TokenStream2 {
    quote!(::relib_module::__private)
}

/// Where the runtime support is found from a host.
fn host_root() -> TokenStream2 {
    quote!(::relib::__private)
}

/// Declares an interface: a trait of functions that one side implements and the other calls.
///
/// `#[interface]` is for functions that modules implement and hosts call; `#[interface(imports)]` for functions that
/// hosts implement and modules call. For a trait `X` both make a type `ModuleX`:
///
/// - for exports, a handle that the host gets from `Module::exports`; each function is a method that returns `Option`
///   of its return type, `None` if the module panicked;
/// - for imports, a type with the functions themselves, which the module calls; a panic of the host's becomes a panic
///   of the module's.
///
/// Functions take no `self` and have no type parameters. Parameters are types that implement `Transfer`, shared or
/// mutable references to them, `&str`, `&Path` and slices; return types are `Transfer` types and shared references.
/// A returned reference may borrow from the arguments; for the caller it lives no longer than its borrow of the module.
#[proc_macro_attribute]
pub fn interface(arguments: TokenStream, item: TokenStream) -> TokenStream {
    respond(interface::expand(arguments.into(), item.into(), &interface_root()))
}

/// Derives `Transfer` for a struct or enum whose fields are all `Transfer`.
///
/// A field that leads back to the type itself, as in a tree, may name it as `Self` or by its plain name. One that leads
/// back through other types is marked `#[transfer(unsafe(recursive))]`. relib does not look into the type of such a field:
/// it is up to you that host and module are built with the same definition of it and of all that it reaches.
#[proc_macro_derive(Transfer, attributes(transfer))]
pub fn derive_transfer(item: TokenStream) -> TokenStream {
    respond(transfer::expand(item.into(), &interface_root()))
}

/// Derives `Transfer` in a crate that depends on `relib_module`.
#[proc_macro_derive(TransferInModule, attributes(transfer))]
pub fn derive_transfer_in_module(item: TokenStream) -> TokenStream {
    respond(transfer::expand(item.into(), &module_root()))
}

/// Derives `Transfer` in a crate that depends on `relib`.
#[proc_macro_derive(TransferInHost, attributes(transfer))]
pub fn derive_transfer_in_host(item: TokenStream) -> TokenStream {
    respond(transfer::expand(item.into(), &host_root()))
}

/// Exports something from a module: `fn main`, `fn before_unload`, or the implementation of an interface.
///
/// - `main` takes nothing and returns a `Transfer` type; the host calls it by `Module::call_main`.
/// - `before_unload` takes and returns nothing; the host calls it at the start of each attempt to unload.
/// - On `impl Exports for ModuleExportsImpl` it also declares the unit struct `ModuleExportsImpl`.
#[proc_macro_attribute]
pub fn export(arguments: TokenStream, item: TokenStream) -> TokenStream {
    respond(export::expand(arguments.into(), item.into(), &module_root()))
}

/// Marks the function by which a module saves its state for the next build: it takes nothing and returns the state, of a
/// type that is `Transfer` and serde's `Serialize`.
///
/// It is called while the module goes on to be used if the next build does not take the state over: it should leave
/// everything as it is.
#[proc_macro_attribute]
pub fn save_state(arguments: TokenStream, item: TokenStream) -> TokenStream {
    respond(saved::expand_save(arguments.into(), item.into(), &module_root()))
}

/// Marks the function by which a module takes over the state that the former build saved: it takes the state, of a type
/// that is `Transfer` and serde's `DeserializeOwned`, and returns nothing, or a `Result<(), E>` whose error is a refusal.
///
/// It is called if the former build's state is of the very same type; for another see [`macro@migrate_state`].
#[proc_macro_attribute]
pub fn restore_state(arguments: TokenStream, item: TokenStream) -> TokenStream {
    respond(saved::expand_restore(arguments.into(), item.into(), &module_root()))
}

/// Marks the function that makes a module's state of one that a former build saved in another shape: it takes an
/// `OldState` and returns a `Result<T, E>` with the state for [`macro@restore_state`], or the reason for a refusal.
///
/// Without it a state of another shape is refused.
#[proc_macro_attribute]
pub fn migrate_state(arguments: TokenStream, item: TokenStream) -> TokenStream {
    respond(saved::expand_migrate(arguments.into(), item.into(), &module_root()))
}

/// Makes the implementation of an import interface something that a host can pass to `load_module`.
///
/// On `impl Imports for ModuleImportsImpl` it also declares the unit struct `ModuleImportsImpl`.
#[proc_macro_attribute]
pub fn implement(arguments: TokenStream, item: TokenStream) -> TokenStream {
    respond(implement::expand(arguments.into(), item.into(), &host_root()))
}
