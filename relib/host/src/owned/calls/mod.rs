//! What the functions that a module's shims call are made of, on every platform: how each finds its module.

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod platform;

#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

use std::ffi::c_void;
use std::sync::Arc;

use crate::owned::runtime::Runtime;
pub(crate) use platform::table;

/// The runtime of the module that calls.
///
/// # Safety
/// `module` must be the pointer of a module's context, made by `Arc::as_ptr`, while the module is loaded.
unsafe fn runtime<'a>(module: *const c_void) -> &'a Runtime {
    // SAFETY: as the caller guarantees: the host keeps the `Arc` until the image is gone.
    unsafe { &*module.cast() }
}

/// As [`runtime`], with a count of its own.
///
/// # Safety
/// As for [`runtime`].
unsafe fn owned_runtime(module: *const c_void) -> Arc<Runtime> {
    let module = module.cast::<Runtime>();
    // SAFETY: the pointer came from `Arc::as_ptr` of an `Arc` that is alive; the count is raised for the new one.
    unsafe {
        Arc::increment_strong_count(module);
        Arc::from_raw(module)
    }
}

/// Defines functions that are called with the pointer of a module's context, and get what [`runtime`] or
/// [`owned_runtime`] makes of it.
macro_rules! called_by_modules {
    ($($name:ident($runtime:ident: $get:ident $(, $parameter:ident: $type:ty)* $(,)?) $(-> $returns:ty)? $body:block)*) => {$(
        unsafe extern "C" fn $name(module: *const c_void $(, $parameter: $type)*) $(-> $returns)? {
            // SAFETY: a shim passes its module's context pointer.
            let $runtime = unsafe { $crate::owned::calls::$get(module) };
            $body
        }
    )*};
}

use called_by_modules;
