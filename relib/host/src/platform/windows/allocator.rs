//! What mimalloc needs to know of the process and its threads.

/// Keeps mimalloc from ending its part of the calling thread a second time: on Windows it notices by itself.
pub(crate) fn forget_thread_of_allocator() {}

/// Starts mimalloc with the process, as its own constructors do elsewhere.
///
/// Its source for Windows (`src/prim/windows/prim.c`) places them by pragmas that GNU's compiler does not know. Not
/// started, it would take each of its pages from the system, and would not list them as parts of their heaps.
#[cfg(target_env = "gnu")]
#[used]
#[unsafe(link_section = ".CRT$XCU")]
static START: extern "C" fn() = start;

#[cfg(target_env = "gnu")]
extern "C" fn start() {
    unsafe extern "C" {
        fn _mi_auto_process_init();
    }
    // SAFETY: to be called once, on the main thread and before the first allocation, which is when the C runtime calls
    // constructors.
    unsafe { _mi_auto_process_init() };
}
