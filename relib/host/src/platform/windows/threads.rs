//! Threads as Windows sees them.

use std::ffi::c_void;
use std::ops::Range;
use std::ptr::NonNull;

use windows_sys::Win32::Foundation::{CloseHandle, LocalFree};
use windows_sys::Win32::System::Diagnostics::Debug::RtlCaptureStackBackTrace;
use windows_sys::Win32::System::Threading::{
    FlsFree, FlsSetValue, GetCurrentThreadId, GetThreadDescription, OpenThread,
    THREAD_QUERY_LIMITED_INFORMATION, TlsFree, TlsGetValue,
};

/// The system's number of the calling thread.
pub(crate) fn current_thread_id() -> u32 {
    // SAFETY: the function has no preconditions.
    unsafe { GetCurrentThreadId() }
}

/// The name of a thread of this process; empty if it has none, or has ended.
pub(crate) fn thread_name(id: u32) -> String {
    // SAFETY: the calls check the thread's number; the handle is closed, and the text, which ends with a zero, is
    // copied and freed.
    unsafe {
        let thread = OpenThread(THREAD_QUERY_LIMITED_INFORMATION, 0, id);
        if thread.is_null() {
            return String::new();
        }
        let mut text = std::ptr::null_mut();
        let mut name = String::new();
        if GetThreadDescription(thread, &mut text) >= 0 && !text.is_null() {
            let len = (0..).take_while(|index| *text.add(*index) != 0).count();
            name = String::from_utf16_lossy(std::slice::from_raw_parts(text, len));
            LocalFree(text.cast());
        }
        CloseHandle(thread);
        name
    }
}

/// A key of a module is a thread-local slot, or a fiber-local one if it has this bit.
pub(crate) const FIBER: u32 = 1 << 31;

/// The calling thread's value of a slot; `None` if it is null. That of a fiber-local slot becomes null; that of a
/// thread-local slot is needed by what runs next, and made null by it.
pub(crate) fn take_key_value(key: u32) -> Option<NonNull<c_void>> {
    if key & FIBER == 0 {
        // SAFETY: the system accepts any number as a slot.
        return NonNull::new(unsafe { TlsGetValue(key) });
    }
    let value = fiber_slots::take(key & !FIBER)?;
    // SAFETY: as above.
    unsafe { FlsSetValue(key & !FIBER, std::ptr::null()) };
    Some(value)
}

/// The values of modules' fiber-local slots with callbacks. The system drops its own before it tells anybody that a thread
/// ends.
pub(crate) mod fiber_slots {
    use std::collections::HashMap;
    use std::ffi::c_void;
    use std::ptr::NonNull;
    use std::sync::{LazyLock, Mutex};

    use super::current_thread_id;
    use crate::lock::lock;

    /// For each slot, the addresses by the numbers of the threads.
    static VALUES: LazyLock<Mutex<HashMap<u32, HashMap<u32, usize>>>> = LazyLock::new(Mutex::default);

    /// Begins to keep the values of a slot.
    pub(crate) fn add(slot: u32) {
        lock(&VALUES).insert(slot, HashMap::new());
    }

    /// Forgets a slot.
    pub(crate) fn remove(slot: u32) {
        lock(&VALUES).remove(&slot);
    }

    /// Keeps the calling thread's value of a slot, if those of the slot are kept.
    pub(crate) fn set(slot: u32, value: *mut c_void) {
        if let Some(values) = lock(&VALUES).get_mut(&slot) {
            if value.is_null() {
                values.remove(&current_thread_id());
            } else {
                values.insert(current_thread_id(), value.expose_provenance());
            }
        }
    }

    /// Forgets the calling thread's value of a slot, and returns it.
    pub(super) fn take(slot: u32) -> Option<NonNull<c_void>> {
        let value = lock(&VALUES).get_mut(&slot)?.remove(&current_thread_id())?;
        NonNull::new(std::ptr::with_exposed_provenance_mut(value))
    }
}

/// Frees a slot that a module allocated.
pub(crate) fn delete_key(key: u32) {
    // SAFETY: the module allocated the slot and did not free it, says the ledger, and it is gone.
    unsafe {
        if key & FIBER != 0 {
            fiber_slots::remove(key & !FIBER);
            FlsFree(key & !FIBER);
        } else {
            TlsFree(key);
        }
    }
}

/// Calls `function`. Elsewhere it is called in such a way that unwinders find few frames, which only saves time.
pub(crate) fn call_at_stack_bottom(function: extern "C" fn()) {
    function();
}

/// Whether a function whose code is inside `image` is being executed by the calling thread, by the unwind tables.
pub(crate) fn is_on_stack(image: &Range<usize>) -> bool {
    const FRAMES: usize = 128;
    let mut skip = 0;
    loop {
        let mut frames = [std::ptr::null_mut::<c_void>(); FRAMES];
        // SAFETY: the call stores at most as many return addresses as there is room for.
        let count = unsafe {
            RtlCaptureStackBackTrace(skip, FRAMES as u32, frames.as_mut_ptr(), std::ptr::null_mut())
        };
        let frames = &frames[..usize::from(count)];
        if frames.iter().any(|address| image.contains(&address.addr())) {
            return true;
        }
        if frames.len() < FRAMES {
            return false;
        }
        skip += FRAMES as u32;
    }
}
