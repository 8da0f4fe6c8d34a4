//! What the host gave to this module: kept here, and asked for by whoever calls the host.

use std::sync::atomic::{AtomicPtr, Ordering};

use relib_abi::entry::{HostContext, SystemTable};

/// The context that the host gave, or null before that.
///
/// What a load writes or reads stands beside what the loader writes anyway, and not in a page of zeros of its own, which
/// the system would have to make for each load.
#[unsafe(link_section = ".data")]
static CONTEXT: AtomicPtr<HostContext> = AtomicPtr::new(std::ptr::null_mut());

/// Keeps what the host gave.
pub(crate) fn set(context: &'static HostContext) {
    CONTEXT.store(std::ptr::from_ref(context).cast_mut(), Ordering::Release);
}

/// The host's functions, and the pointer to pass back to them.
///
/// The shims that need it are reached through imports that the host redirected. It does so before it calls `attach`, but
/// no code of the module runs in between; on Windows, where the loader calls images when threads end, the host has the
/// loader's lock meanwhile.
pub(crate) fn host() -> (&'static SystemTable, *const std::ffi::c_void) {
    let context = context();
    (&context.system, context.module)
}

/// What the host gave to this module.
pub(crate) fn context() -> &'static HostContext {
    let context = CONTEXT.load(Ordering::Acquire);
    assert!(!context.is_null(), "the host was called before it attached the module");
    // SAFETY: the pointer is the host's context, which stays in place until this image is gone.
    unsafe { &*context }
}
