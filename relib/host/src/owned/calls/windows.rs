//! The functions that a module's shims call, on Windows.
//!
//! They run on any thread, in the middle of what the module does, so they neither panic nor change the last error for
//! a call that succeeded.

use std::ffi::{c_uint, c_void};

use relib_abi::call::Destructor;
use relib_abi::entry::{SystemTable, ThreadMain};
use windows_sys::Win32::Foundation::{ERROR_BUSY, GetLastError, SetLastError};
use windows_sys::Win32::System::Memory::GetProcessHeap;

use super::caller::called_by_modules;
use crate::owned::allocation::is_in_scope;
use crate::owned::heap;
use crate::owned::threads::NewThread;
use crate::platform::{FIBER, extent, fiber_slots};

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

called_by_modules! {
    thread_announced(module, function: ThreadMain, argument: *mut c_void) -> *mut c_void {
        // In a scope the thread's own allocations would not go to the state; what it shares with this one would.
        let thread = if is_in_scope(module.heap) { None } else { NewThread::announce(&module.threads) };
        match thread {
            Some(thread) => Box::into_raw(Box::new(Start { thread, function, argument })).cast(),
            None => {
                // SAFETY: the function has no preconditions.
                unsafe { SetLastError(ERROR_BUSY) };
                std::ptr::null_mut()
            }
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

called_by_modules! {
    slot_allocated(module, slot: c_uint, finish: Destructor) {
        quietly(|| module.threads.add_key(slot, Some(finish)));
    }

    slot_freeing(module, slot: c_uint) {
        quietly(|| module.threads.remove_key(slot));
    }

    slot_set(module, slot: c_uint, is_set: bool) {
        quietly(|| module.threads.note_key_value(slot, is_set));
    }

    fiber_slot_allocated(module, slot: c_uint, callback: Option<Destructor>) {
        quietly(|| {
            if callback.is_some() {
                fiber_slots::add(slot);
            }
            module.threads.add_key(slot | FIBER, callback);
        });
    }

    fiber_slot_freeing(module, slot: c_uint) {
        quietly(|| {
            module.threads.remove_key(slot | FIBER);
            fiber_slots::remove(slot);
        });
    }

    fiber_slot_set(module, slot: c_uint, value: *mut c_void) {
        quietly(|| {
            fiber_slots::set(slot, value);
            module.threads.note_key_value(slot | FIBER, !value.is_null());
        });
    }

    heap_owns(module, block: *const c_void) -> bool {
        module.owns(block)
    }
}

/// Handles have 32 significant bits.
fn number(handle: *mut c_void) -> i32 {
    handle.addr() as i32
}

/// Defines functions of the table that enter something into the ledger of the module that calls.
macro_rules! entries {
    ($($name:ident($argument:ident) => |$ledger:ident| $entry:expr;)*) => {
        called_by_modules! {$(
            $name(module, $argument: *mut c_void) {
                quietly(|| {
                    if let Some(mut $ledger) = module.ledger_of_this_process() {
                        $entry;
                    }
                });
            }
        )*}
    };
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

unsafe extern "C" fn heap_usable_size(_module: *const c_void, block: *const c_void) -> usize {
    // SAFETY: the shim has asked `heap_owns`, and the module owns the block.
    unsafe { heap::usable_size(block) }
}
