//! The host functions for the shims of a module on Windows.

use core::ffi::{c_uint, c_void};

use crate::call::Destructor;

/// The function that a thread starts with: of `CreateThread` and of `_beginthreadex`.
pub type ThreadMain = unsafe extern "C-unwind" fn(argument: *mut c_void) -> c_uint;

/// Host functions for the shims of a module on Windows. The first parameter is
/// [`HostContext::module`](crate::entry::HostContext::module).
///
/// Handles are numbers of 32 significant bits, also in a 64-bit process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SystemTable {
    /// The module is about to start a thread with this function. Returns what to pass to `thread_main` instead of the
    /// argument; null if no thread may be started.
    pub thread_announced:
        unsafe extern "C" fn(*const c_void, start: ThreadMain, argument: *mut c_void) -> *mut c_void,
    /// The thread was not started after all; takes back what `thread_announced` returned.
    pub thread_failed: unsafe extern "C" fn(*const c_void, ticket: *mut c_void),
    /// The function to start the thread with: it runs the module's function, and then the destructors of the thread.
    pub thread_main: ThreadMain,
    /// The module allocated a thread-local slot (`TlsAlloc`). If the slot is set on a thread, `finish` must be called on
    /// that thread before the image goes: it runs what is to be run and empties all slots of the module.
    pub slot_allocated: unsafe extern "C" fn(*const c_void, slot: c_uint, finish: Destructor),
    /// The module is about to free a thread-local slot.
    pub slot_freeing: unsafe extern "C" fn(*const c_void, slot: c_uint),
    /// The calling thread has set a thread-local slot to something, or to nothing.
    pub slot_set: unsafe extern "C" fn(*const c_void, slot: c_uint, is_set: bool),
    /// The module allocated a fiber-local slot whose callback the host is to call; the system knows of none.
    pub fiber_slot_allocated: unsafe extern "C" fn(*const c_void, slot: c_uint, callback: Option<Destructor>),
    /// The module is about to free a fiber-local slot.
    pub fiber_slot_freeing: unsafe extern "C" fn(*const c_void, slot: c_uint),
    /// The calling thread has set a fiber-local slot to something, or to null.
    pub fiber_slot_set: unsafe extern "C" fn(*const c_void, slot: c_uint, value: *mut c_void),
    /// The module reserved memory or mapped a view at `address`.
    pub mapped: unsafe extern "C" fn(*const c_void, address: *mut c_void),
    /// The module is about to release the memory or the view at `address`.
    pub unmapping: unsafe extern "C" fn(*const c_void, address: *mut c_void),
    /// The module made a file mapping of this file, which it may map views of.
    pub file_mapped: unsafe extern "C" fn(*const c_void, file: *mut c_void),
    /// The module opened a handle.
    pub handle_opened: unsafe extern "C" fn(*const c_void, handle: *mut c_void),
    /// The module is about to close a handle.
    pub handle_closing: unsafe extern "C" fn(*const c_void, handle: *mut c_void),
    /// The module got a handle of a library which it has to free.
    pub library_opened: unsafe extern "C" fn(*const c_void, library: *mut c_void),
    /// The module is about to free a library.
    pub library_closing: unsafe extern "C" fn(*const c_void, library: *mut c_void),
    /// Whether a block of memory belongs to the module's heap.
    pub heap_owns: unsafe extern "C" fn(*const c_void, block: *const c_void) -> bool,
    /// Usable size in bytes of a block of the module's heap.
    pub heap_usable_size: unsafe extern "C" fn(*const c_void, block: *const c_void) -> usize,
    /// What `GetProcessHeap` returns.
    pub process_heap: *mut c_void,
}
