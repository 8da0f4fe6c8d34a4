//! The host of upstream's relib: a crate of its own, because its generated code needs another version of libloading.

use std::path::Path;

// The generated code has warnings of its own.
#[allow(warnings, clippy::all)]
mod generated {
    relib_interface::include_exports!();
    relib_interface::include_imports!();

    pub(super) use gen_imports::init_imports;

    /// The functions of the module.
    pub type Exports = gen_exports::ModuleExports;
}

pub use generated::Exports;

/// A loaded module of upstream's relib.
pub type Module = relib_host::Module<Exports>;

/// Loads a module.
///
/// # Safety
/// The module must be the one in `upstream/module`.
///
/// # Errors
/// What upstream says.
pub unsafe fn load(path: &Path) -> Result<Module, String> {
    // SAFETY: the caller says that the module was built from the same traits.
    unsafe { relib_host::load_module(path, generated::init_imports) }.map_err(|error| error.to_string())
}

/// Unloads a module.
///
/// # Errors
/// What upstream says.
pub fn unload(module: Module) -> Result<(), String> {
    module.unload().map_err(|error| error.to_string())
}
