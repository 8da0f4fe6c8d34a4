//! The functions that a module's shims call.
//!
//! They run on any thread, in the middle of what the module does, so they neither panic nor change the last error for
//! a call that succeeded.

use std::ffi::{c_uint, c_void};
use std::sync::Arc;

use relib_abi::entry::{Destructor, SystemTable, ThreadMain};
use windows_sys::Win32::Foundation::{ERROR_BUSY, GetLastError, SetLastError};
use windows_sys::Win32::System::Memory::GetProcessHeap;

use super::resources::extent;
use super::threads::{FIBER, fiber_slots};
use crate::heap;
use crate::runtime::Runtime;
use crate::threads::{self, NewThread};

/// The table for [`HostContext::system`](relib_abi::entry::HostContext::system).
pub(crate) fn table() -> SystemTable {
    SystemTable {
        thread_announced,
        thread_failed,
        thread_main,
        slot_allocated,
        slot_freeing,
        slot_set,
        fiber_slot_allocated,
        fiber_slot_freeing,
        fiber_slot_set,
        mapped,
        unmapping,
        file_mapped,
        handle_opened,
        handle_closing,
        library_opened,
        library_closing,
        heap_owns,
        heap_usable_size,
        // SAFETY: the function has no preconditions.
        process_heap: unsafe { GetProcessHeap() },
    }
}

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

/// Runs `body` and gives the thread its last error back, which the module may be about to ask for.
fn quietly<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: the functions have no preconditions.
    let error = unsafe { GetLastError() };
    let result = body();
    // SAFETY: as above.
    unsafe { SetLastError(error) };
    result
}

/// What a new thread needs to know.
struct Start {
    thread: NewThread,
    function: ThreadMain,
    argument: *mut c_void,
}

unsafe extern "C" fn thread_announced(
    module: *const c_void,
    function: ThreadMain,
    argument: *mut c_void,
) -> *mut c_void {
    // SAFETY: a shim passes its module's context pointer.
    let module = unsafe { owned_runtime(module) };
    // In a scope the thread's own allocations would not go to the state; what it shares with this one would.
    let thread = if heap::is_in_scope(module.heap) { None } else { NewThread::announce(&module) };
    match thread {
        Some(thread) => Box::into_raw(Box::new(Start { thread, function, argument })).cast(),
        None => {
            // SAFETY: the function has no preconditions.
            unsafe { SetLastError(ERROR_BUSY) };
            std::ptr::null_mut()
        }
    }
}

unsafe extern "C" fn thread_failed(_module: *const c_void, ticket: *mut c_void) {
    // SAFETY: no thread was started, so the box that `thread_announced` made is still whole.
    quietly(|| drop(unsafe { Box::from_raw(ticket.cast::<Start>()) }));
}

/// The first function of each thread that a module starts. The module's code returns to it, and not to the system.
unsafe extern "C-unwind" fn thread_main(ticket: *mut c_void) -> c_uint {
    // SAFETY: `thread_announced` made the box for this thread alone.
    let Start { thread, function, argument } = *unsafe { Box::from_raw(ticket.cast::<Start>()) };
    // SAFETY: the module passed both to start the thread; its image stays while the thread counts as its.
    thread.run(|| unsafe { function(argument) })
}

unsafe extern "C" fn slot_allocated(module: *const c_void, slot: c_uint, finish: Destructor) {
    // SAFETY: a shim passes its module's context pointer.
    quietly(|| unsafe { runtime(module) }.threads.add_key(slot, Some(finish)));
}

unsafe extern "C" fn slot_freeing(module: *const c_void, slot: c_uint) {
    // SAFETY: a shim passes its module's context pointer.
    quietly(|| unsafe { runtime(module) }.threads.remove_key(slot));
}

unsafe extern "C" fn slot_set(module: *const c_void, slot: c_uint, is_set: bool) {
    // SAFETY: a shim passes its module's context pointer.
    quietly(|| threads::note_key_value(&unsafe { owned_runtime(module) }, slot, is_set));
}

unsafe extern "C" fn fiber_slot_allocated(module: *const c_void, slot: c_uint, callback: Option<Destructor>) {
    quietly(|| {
        if callback.is_some() {
            fiber_slots::add(slot);
        }
        // SAFETY: a shim passes its module's context pointer.
        unsafe { runtime(module) }.threads.add_key(slot | FIBER, callback);
    });
}

unsafe extern "C" fn fiber_slot_freeing(module: *const c_void, slot: c_uint) {
    quietly(|| {
        // SAFETY: a shim passes its module's context pointer.
        unsafe { runtime(module) }.threads.remove_key(slot | FIBER);
        fiber_slots::remove(slot);
    });
}

unsafe extern "C" fn fiber_slot_set(module: *const c_void, slot: c_uint, value: *mut c_void) {
    quietly(|| {
        fiber_slots::set(slot, value);
        // SAFETY: a shim passes its module's context pointer.
        threads::note_key_value(&unsafe { owned_runtime(module) }, slot | FIBER, !value.is_null());
    });
}

/// Handles have 32 significant bits.
fn number(handle: *mut c_void) -> i32 {
    handle.addr() as i32
}

/// Defines functions of the table that enter something into the ledger of the module that calls.
macro_rules! entries {
    ($($name:ident($argument:ident) => |$ledger:ident| $entry:expr;)*) => {$(
        unsafe extern "C" fn $name(module: *const c_void, $argument: *mut c_void) {
            quietly(|| {
                // SAFETY: a shim passes its module's context pointer.
                if let Some(mut $ledger) = unsafe { runtime(module) }.ledger_of_this_process() {
                    $entry;
                }
            });
        }
    )*};
}

entries! {
    mapped(address) => |ledger| {
        if let Some(len) = extent(address.addr()) {
            ledger.mapped(address.addr(), len);
        }
    };
    unmapping(address) => |ledger| {
        if let Some(len) = extent(address.addr()) {
            ledger.unmapped(address.addr(), len);
        }
    };
    file_mapped(file) => |ledger| ledger.descriptor_mapped(number(file));
    handle_opened(handle) => |ledger| ledger.descriptor_opened(number(handle));
    handle_closing(handle) => |ledger| ledger.descriptor_closing(number(handle));
    library_opened(library) => |ledger| ledger.library_opened(library.addr());
    library_closing(library) => |ledger| ledger.library_closing(library.addr());
}

unsafe extern "C" fn heap_owns(module: *const c_void, block: *const c_void) -> bool {
    // SAFETY: a shim passes its module's context pointer.
    unsafe { runtime(module) }.owns(block)
}

unsafe extern "C" fn heap_usable_size(_module: *const c_void, block: *const c_void) -> usize {
    // SAFETY: the shim has asked `heap_owns`, and the module owns the block.
    unsafe { heap::usable_size(block) }
}
