//! The module's thread-local slots, and what is called in this image when a thread ends.

use std::ffi::{c_uint, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

/// The module's thread-local slots, one bit each.
static SLOTS: [AtomicU64; MAX_SLOTS / 64] = [const { AtomicU64::new(0) }; MAX_SLOTS / 64];

/// `TLS_MINIMUM_AVAILABLE` and the expansion slots, rounded up: there are no more in a process.
const MAX_SLOTS: usize = 64 + 1024;

/// Notes that a slot is the module's, or no longer.
pub(super) fn keep_slot(slot: c_uint, is_ours: bool) {
    let Some(word) = SLOTS.get(slot as usize / 64) else { return };
    let bit = 1 << (slot % 64);
    if is_ours {
        word.fetch_or(bit, Ordering::Relaxed);
    } else {
        word.fetch_and(!bit, Ordering::Relaxed);
    }
}

/// Calls `visit` for each slot of the module's.
pub(super) fn for_each_slot(mut visit: impl FnMut(c_uint)) {
    for (index, word) in SLOTS.iter().enumerate() {
        let mut bits = word.load(Ordering::Relaxed);
        while bits != 0 {
            visit(index as c_uint * 64 + bits.trailing_zeros());
            bits &= bits - 1;
        }
    }
}

/// Calls what the system calls in this image when a thread ends: std runs its destructors there, and so does C code.
pub(super) fn run_thread_callbacks() {
    const DLL_THREAD_DETACH: c_uint = 3;
    type Callback = unsafe extern "C" fn(image: *const c_void, reason: c_uint, reserved: *const c_void);

    unsafe extern "C" {
        /// The start of the callbacks, before the first; a null pointer stands behind the last. The host has taken them
        /// out of the image's directory of thread-local storage, so that nobody but this function calls them.
        #[link_name = "__xl_a"]
        static BEFORE_FIRST: Option<Callback>;
        #[link_name = "__ImageBase"]
        static IMAGE_BASE: u8;
    }

    // SAFETY: both are made by the linker and the C runtime's start files for every image. The callbacks expect the call
    // on a thread that runs no other code of the image, which the host makes sure of.
    unsafe {
        let mut callback = (&raw const BEFORE_FIRST).add(1);
        while let Some(function) = *callback {
            function((&raw const IMAGE_BASE).cast(), DLL_THREAD_DETACH, std::ptr::null());
            callback = callback.add(1);
        }
    }
}
