//! A load, from the path to the [`Module`]: copy, verify, map, connect. Nothing of the module runs before its file is verified.
//!
//! It must not know how a module is unloaded or reloaded.

mod connect;
mod options;
mod plan;
mod redirects;
mod staging;
mod steps;
mod symbols;

use std::path::Path;

use relib_interface::imports::ProvideImports;
use relib_interface::interface::ExportsHandle;

use crate::file::{LoadError, open};
use crate::module::Module;
use plan::Imports;

pub(crate) use steps::Copied;
#[cfg(feature = "reload")]
pub(crate) use steps::Verified;

pub use options::LoadOptions;

impl LoadOptions {
    /// Loads a module; see [`load_module`](crate::load_module).
    ///
    /// # Errors
    /// Each variant of [`LoadError`] says what is wrong with the file, or what the system refused.
    ///
    /// # Safety
    /// As for [`load_module`](crate::load_module).
    pub unsafe fn load<E: ExportsHandle>(
        &self,
        path: impl AsRef<Path>,
        imports: impl ProvideImports,
    ) -> Result<Module<E>, LoadError> {
        // SAFETY: as the caller guarantees.
        unsafe { load(self, path.as_ref(), Imports::Provided(&imports.provided())) }
    }

    /// Loads a module of which nothing is known: without its imports, and with nothing asked of its exports.
    ///
    /// For tools such as `cargo relib check`. An import that the module calls panics in the module. No value crosses, so
    /// that the module may come from another compiler than the host; the target and the version of relib must be the
    /// same. What such a module does can be seen by [`Module::run_main`].
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    ///
    /// # Safety
    /// As for [`load_module`](crate::load_module).
    pub unsafe fn load_unconnected(&self, path: impl AsRef<Path>) -> Result<Module<()>, LoadError> {
        // SAFETY: as the caller guarantees.
        unsafe { load(self, path.as_ref(), Imports::LeftOut) }
    }
}

/// Loads the module at `path`.
///
/// # Safety
/// As for [`load_module`](crate::load_module).
unsafe fn load<E: ExportsHandle>(
    options: &LoadOptions,
    path: &Path,
    imports: Imports<'_>,
) -> Result<Module<E>, LoadError> {
    let mut more_attempts = ATTEMPTS - 1;
    loop {
        let verified = Copied::of(options, open(path)?)?.verify_for::<E>(imports)?;
        // SAFETY: as the caller guarantees.
        match unsafe { verified.map() } {
            Err(LoadError::Replaced { .. }) if more_attempts > 0 => more_attempts -= 1,
            result => return result,
        }
    }
}

/// How often a load that makes no copy begins anew because another file was put at the path. A build does that once.
const ATTEMPTS: u32 = 10;
