//! Threads as glibc and the kernel see them.

use std::ffi::c_void;
use std::ops::Range;
use std::ptr::NonNull;

/// The kernel's number of the calling thread.
pub(crate) fn current_thread_id() -> u32 {
    // SAFETY: the function has no preconditions.
    let id = unsafe { libc::gettid() };
    u32::try_from(id).unwrap_or_default()
}

/// The name of a thread of this process; empty if it has ended.
pub(crate) fn thread_name(id: u32) -> String {
    std::fs::read_to_string(format!("/proc/self/task/{id}/comm"))
        .map_or_else(|_| String::new(), |name| name.trim_end_matches('\n').to_owned())
}

/// The calling thread's value of a key, which becomes null; `None` if it was.
pub(crate) fn take_key_value(key: u32) -> Option<NonNull<c_void>> {
    // SAFETY: glibc accepts any number as a key.
    let value = NonNull::new(unsafe { libc::pthread_getspecific(key) })?;
    // SAFETY: the key exists, because it has a value.
    unsafe { libc::pthread_setspecific(key, std::ptr::null()) };
    Some(value)
}

/// Deletes a key that a module made.
pub(crate) fn delete_key(key: u32) {
    // SAFETY: the module made the key and did not delete it, says the ledger, and it is gone.
    unsafe { libc::pthread_key_delete(key) };
}

/// Keeps mimalloc from ending its part of the calling thread a second time, with a pointer that is stale by then.
pub(crate) fn forget_thread_of_allocator() {
    unsafe extern "C" {
        /// The key whose destructor is mimalloc's end of a thread (`src/prim/unix/prim.c`).
        static _mi_heap_default_key: libc::pthread_key_t;
    }

    // SAFETY: mimalloc has made the key before the first allocation of any thread, and does not change it afterwards. A
    // thread that allocates again sets its value again.
    unsafe { libc::pthread_setspecific(_mi_heap_default_key, std::ptr::null()) };
}

/// Whether a function whose code is inside `image` is being executed by the calling thread, by the unwind tables.
pub(crate) fn is_on_stack(image: &Range<usize>) -> bool {
    struct Search<'a> {
        image: &'a Range<usize>,
        found: bool,
    }

    extern "C" fn visit(context: *mut UnwindContext, search: *mut c_void) -> i32 {
        // SAFETY: the unwinder passes on the pointer that it was given below, and a context that is valid during the
        // call.
        let (search, address) = unsafe { (&mut *search.cast::<Search<'_>>(), _Unwind_GetIP(context)) };
        search.found |= search.image.contains(&address);
        if search.found { URC_END_OF_STACK } else { URC_NO_REASON }
    }

    let mut search = Search { image, found: false };
    // SAFETY: the callback does not unwind, and `search` outlives the call.
    unsafe { _Unwind_Backtrace(visit, (&raw mut search).cast()) };
    search.found
}

/// Calls `function` in such a way that unwinders take this call for the first one of the thread, and end there.
pub(crate) fn call_at_stack_bottom(function: extern "C" fn()) {
    /// Calls its argument. That its return address is undefined is how unwinders recognise the end of a stack (System V
    /// AMD64 ABI, section 3.7); nothing can unwind out of `function`, which is `extern "C"`.
    #[unsafe(naked)]
    extern "C" fn bottom(function: extern "C" fn()) {
        std::arch::naked_asm!(
            ".cfi_startproc",
            ".cfi_undefined rip",
            // Aligns the stack for the call.
            "sub rsp, 8",
            "call rdi",
            "add rsp, 8",
            "ret",
            ".cfi_endproc",
        )
    }
    bottom(function);
}

/// A frame, as the unwinder shows it (Itanium C++ ABI: Exception Handling, level I).
#[repr(C)]
struct UnwindContext([u8; 0]);

/// Goes on to the next frame.
const URC_NO_REASON: i32 = 0;
/// Ends the walk.
const URC_END_OF_STACK: i32 = 5;

unsafe extern "C" {
    fn _Unwind_Backtrace(
        visit: extern "C" fn(*mut UnwindContext, *mut c_void) -> i32,
        argument: *mut c_void,
    ) -> i32;
    fn _Unwind_GetIP(context: *mut UnwindContext) -> usize;
}
