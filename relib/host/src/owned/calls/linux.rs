//! The functions that a module's shims call, on Linux.
//!
//! They run on any thread, in the middle of what the module does, so they neither panic nor change `errno` for a call
//! that succeeded.

use std::ffi::{c_int, c_uint, c_void};

use relib_abi::call::Destructor;
use relib_abi::entry::{SystemTable, ThreadStart};

use super::caller::called_by_modules;
use crate::owned::allocation::is_in_scope;
use crate::owned::heap;
use crate::owned::threads::NewThread;

/// The table for [`HostContext::system`](relib_abi::entry::HostContext::system).
pub(crate) fn table() -> SystemTable {
    SystemTable {
        thread_atexit,
        thread_create,
        key_create,
        key_delete,
        key_set,
        mapped,
        unmapped,
        descriptor_opened,
        descriptor_foreign,
        descriptor_closing,
        signal_changed,
        library_opened,
        library_closing,
        heap_owns,
        heap_usable_size,
    }
}

called_by_modules! {
    thread_atexit(module, destructor: Destructor, object: *mut c_void) -> c_int {
        module.threads.register_destructor(destructor, object);
        0
    }

    thread_create(
        module,
        handle: *mut c_void,
        attributes: *const c_void,
        function: ThreadStart,
        argument: *mut c_void,
    ) -> c_int {
        if is_in_scope(module.heap) {
            // The thread's own allocations would not go to the state; what it shares with this one would.
            return libc::EAGAIN;
        }
        let Some(thread) = NewThread::announce(&module.threads) else {
            return libc::EAGAIN;
        };
        let start = Box::into_raw(Box::new(Start { thread, function, argument }));
        // SAFETY: the module passed the handle's place and the attributes to `pthread_create`; `run_thread` takes the
        // box.
        let result = unsafe { pthread_create(handle, attributes, run_thread, start.cast()) };
        if result != 0 {
            // SAFETY: no thread was started, so the box is still ours.
            drop(unsafe { Box::from_raw(start) });
        }
        result
    }

    key_create(module, key: *mut c_uint, destructor: Option<Destructor>) -> c_int {
        // The C library gets no destructor: it would call it at the end of a thread that may outlive the module.
        // SAFETY: the module passed a place for a key.
        let result = unsafe { libc::pthread_key_create(key, None) };
        if result == 0 {
            // SAFETY: the key was stored there.
            module.threads.add_key(unsafe { *key }, destructor);
        }
        result
    }

    key_delete(module, key: c_uint) -> c_int {
        module.threads.remove_key(key);
        // SAFETY: the C library checks the key.
        unsafe { libc::pthread_key_delete(key) }
    }

    key_set(module, key: c_uint, value: *const c_void) -> c_int {
        // SAFETY: the C library checks the key and stores any value.
        let result = unsafe { libc::pthread_setspecific(key, value) };
        if result == 0 {
            module.threads.note_key_value(key, !value.is_null());
        }
        result
    }

    descriptor_foreign(module, descriptor: c_int) -> bool {
        module.ledger_of_this_process().is_some_and(|ledger| ledger.is_foreign(descriptor))
    }

    heap_owns(module, block: *const c_void) -> bool {
        module.owns(block)
    }
}

/// Defines functions of the table that enter something into the ledger of the module that calls.
macro_rules! entries {
    ($($name:ident($($argument:ident: $ty:ty),*) => |$ledger:ident| $entry:expr;)*) => {
        called_by_modules! {
            $($name(module, $($argument: $ty),*) {
                if let Some(mut $ledger) = module.ledger_of_this_process() {
                    $entry;
                }
            })*
        }
    };
}

entries! {
    mapped(address: *mut c_void, len: usize) => |ledger| ledger.mapped(address.addr(), len);
    unmapped(address: *mut c_void, len: usize) => |ledger| ledger.unmapped(address.addr(), len);
    descriptor_opened(descriptor: c_int) => |ledger| ledger.descriptor_opened(descriptor);
    descriptor_closing(descriptor: c_int) => |ledger| ledger.descriptor_closing(descriptor);
    signal_changed(signal: c_int) => |ledger| ledger.signal_changed(signal);
    library_opened(handle: *mut c_void) => |ledger| ledger.library_opened(handle.addr());
    library_closing(handle: *mut c_void) => |ledger| ledger.library_closing(handle.addr());
}

/// What a new thread needs to know.
struct Start {
    thread: NewThread,
    function: ThreadStart,
    argument: *mut c_void,
}

/// The first function of each thread that a module starts. The module's code returns to it, and not to the C library.
unsafe extern "C-unwind" fn run_thread(start: *mut c_void) -> *mut c_void {
    // SAFETY: `thread_create` passed the box to this thread alone.
    let Start { thread, function, argument } = *unsafe { Box::from_raw(start.cast::<Start>()) };
    // SAFETY: the module passed both to `pthread_create`; its image stays while the thread counts as its.
    thread.run(|| unsafe { function(argument) })
}

unsafe extern "C" {
    /// As in the C library, with a start function that may be unwound by `pthread_exit`, which `libc` does not allow.
    fn pthread_create(
        handle: *mut c_void,
        attributes: *const c_void,
        function: ThreadStart,
        argument: *mut c_void,
    ) -> c_int;
}

unsafe extern "C" fn heap_usable_size(_module: *const c_void, block: *const c_void) -> usize {
    // SAFETY: the shim has asked `heap_owns`, and the module owns the block.
    unsafe { heap::usable_size(block) }
}
