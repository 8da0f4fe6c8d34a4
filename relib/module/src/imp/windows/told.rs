//! What the host is told of a call that was made: the handle, memory or library that it returned or stored.

use std::ffi::{c_int, c_uint, c_void};

use crate::imp::shim::tell_host;

pub(super) type Handle = *mut c_void;
pub(super) type Bool = c_int;

/// What functions that open files return for an error.
const INVALID_HANDLE: usize = usize::MAX;

/// Passes on a handle that a call has returned.
pub(super) fn opened(handle: Handle) -> Handle {
    if !handle.is_null() && handle.addr() != INVALID_HANDLE {
        tell_host!(handle_opened(handle));
    }
    handle
}

/// Passes on the handle that a system call with this status has stored.
///
/// # Safety
/// If `status` is a success, `place` must point to a handle.
pub(super) unsafe fn opened_at(status: c_int, place: *const Handle) -> c_int {
    if status >= 0 {
        // SAFETY: the call succeeded, so it stored a handle, says the caller.
        let handle = unsafe { *place };
        tell_host!(handle_opened(handle));
    }
    status
}

/// Passes on memory that a call has reserved or mapped.
pub(super) fn mapped(address: *mut c_void) -> *mut c_void {
    if !address.is_null() {
        tell_host!(mapped(address));
    }
    address
}

/// Passes on a library that a call has returned.
pub(super) fn library(handle: Handle) -> Handle {
    if !handle.is_null() {
        tell_host!(library_opened(handle));
    }
    handle
}

/// Passes on the library that a call of `GetModuleHandleEx` has stored, if it counts.
///
/// # Safety
/// If `result` is not zero, `place` must point to a handle.
pub(super) unsafe fn library_at(result: Bool, flags: c_uint, place: *const Handle) -> Bool {
    const PIN: c_uint = 1;
    const UNCHANGED_REFCOUNT: c_uint = 2;
    if result != 0 && flags & (PIN | UNCHANGED_REFCOUNT) != UNCHANGED_REFCOUNT {
        // SAFETY: the call succeeded, so it stored a handle, says the caller.
        let handle = unsafe { *place };
        tell_host!(library_opened(handle));
    }
    result
}

/// Passes on that a file is mapped if a call has made a mapping of it.
pub(super) fn file_mapped(mapping: Handle, file: Handle) -> Handle {
    if !mapping.is_null() && file.addr() != INVALID_HANDLE {
        tell_host!(file_mapped(file));
    }
    mapping
}
