//! glibc's description of an image, as far as it is public.

use std::ffi::{c_char, c_void};

/// The public part of glibc's description of an image (`link.h`).
#[repr(C)]
pub(super) struct LinkMap {
    pub(super) l_addr: usize,
    pub(super) l_name: *const c_char,
    l_ld: *mut c_void,
    pub(super) l_next: *mut LinkMap,
    l_prev: *mut LinkMap,
}

/// The description of the image that a handle is of.
///
/// # Safety
/// `handle` must be null, for which there is no description, or open and stay so while the result is used.
pub(super) unsafe fn link_map<'a>(handle: *mut c_void) -> Option<&'a LinkMap> {
    let mut map: *const LinkMap = std::ptr::null();
    if handle.is_null() {
        return None;
    }
    // SAFETY: for this request the call stores a pointer to the description of an open image.
    unsafe {
        libc::dlinfo(handle, libc::RTLD_DI_LINKMAP, (&raw mut map).cast());
        map.as_ref()
    }
}
