//! How each function that a module calls finds what the host keeps for that module.

use std::ffi::c_void;

use crate::owned::runtime::Runtime;

/// The runtime of the module that calls.
///
/// # Safety
/// `module` must be the pointer of a module's context, made by `Arc::as_ptr`, while the module is loaded.
pub(super) unsafe fn runtime<'a>(module: *const c_void) -> &'a Runtime {
    // SAFETY: as the caller guarantees: the host keeps the `Arc` until the image is gone.
    unsafe { &*module.cast() }
}

/// Defines functions that are called with the pointer of a module's context, and get its [`runtime`].
macro_rules! called_by_modules {
    ($($name:ident($runtime:ident $(, $parameter:ident: $type:ty)* $(,)?) $(-> $returns:ty)? $body:block)*) => {$(
        unsafe extern "C" fn $name(module: *const c_void $(, $parameter: $type)*) $(-> $returns)? {
            // SAFETY: a shim passes its module's context pointer.
            let $runtime = unsafe { $crate::owned::calls::caller::runtime(module) };
            $body
        }
    )*};
}

pub(super) use called_by_modules;
