//! The tables that the two images hand to each other when a module is loaded.
//!
//! The module exports one [`ModuleEntry`]. The host makes one [`HostContext`] for each module, points the module's imports
//! at the shims of [`ModuleEntry::redirects`], and then calls [`ModuleEntry::attach`] with the context. No code of the
//! module runs in between.

use core::alloc::Layout;
use core::ffi::c_void;
#[cfg(unix)]
use core::ffi::{c_int, c_uint};
use core::sync::atomic::AtomicPtr;

#[cfg(unix)]
pub use crate::call::Destructor;
use crate::call::{FunctionEntry, RawSlice};
#[cfg(windows)]
pub use crate::windows::{SystemTable, ThreadMain};

/// What a module exports under [`symbol::ENTRY`](crate::symbol::ENTRY).
#[repr(C)]
pub struct ModuleEntry {
    /// Must equal [`ABI_VERSION`](crate::ABI_VERSION); checked before anything else of the table is used.
    pub abi_version: u32,
    /// Gives the module its host: from here on its allocator and its shims work through the context.
    ///
    /// The context must stay in place until the image is gone. Returns false if the allocator cannot change to the host's
    /// heap, because code that ran before holds memory that the heap could not free; then the image has to be closed.
    pub attach: unsafe extern "C" fn(context: *const HostContext) -> bool,
    /// Imports of the image that must be sent to the module's shims.
    pub redirects: Redirects,
    /// Allocates a block through the module's `#[global_allocator]`, hands it to `visit`, and frees it.
    ///
    /// So the host learns where that allocator takes its memory from.
    pub probe_allocator:
        unsafe extern "C" fn(context: *mut (), visit: unsafe extern "C" fn(*mut (), *const u8)),
    /// What code of the module has allocated before `attach`.
    pub early_memory: *const EarlyMemory,
}

// SAFETY: the table is a constant of the image: function addresses, slices of constants that are never written, and
// addresses of atomics.
unsafe impl Sync for ModuleEntry {}

/// The memory that a module takes its blocks from before it has its host.
///
/// Its blocks live as long as the image, so the host frees it when the image is gone.
#[repr(C)]
#[derive(Debug)]
pub struct EarlyMemory {
    /// A block of [`EarlyMemory::LAYOUT`] from [`std::alloc::System`](https://doc.rust-lang.org/std/alloc/struct.System.html),
    /// which is the same allocator in both images; [`EarlyMemory::NONE`] as long as nothing was allocated.
    pub start: AtomicPtr<u8>,
}

impl EarlyMemory {
    /// Size in bytes and alignment of the block.
    pub const LAYOUT: Layout = match Layout::from_size_align(256 * 1024, HeapTable::NATURAL_ALIGNMENT) {
        Ok(layout) => layout,
        Err(_) => panic!("the layout is invalid"),
    };

    /// Stands for no block: the end of the address space, so that no address is less than a block's size above it.
    pub const NONE: *mut u8 = core::ptr::without_provenance_mut(Self::LAYOUT.size().wrapping_neg());

    /// Whether an address is in the block that begins at `start`, which may be [`EarlyMemory::NONE`].
    #[inline]
    pub fn block_contains(start: *mut u8, address: usize) -> bool {
        address.wrapping_sub(start.addr()) < Self::LAYOUT.size()
    }
}

/// Imports by name, and the functions inside the module that take their places.
///
/// Each part lists the imports in the same order. A table with a line for each import would have three pointers in a line,
/// where this has one: each is work for the loader, at each load.
#[repr(C)]
pub struct Redirects {
    /// The symbols' names without versions, each with a zero byte behind it.
    pub names: RawSlice<u8>,
    /// The shims; each has the signature of the function that it replaces.
    pub shims: RawSlice<*const ()>,
    /// Where the host stores the addresses that the imports had before, as many as there are shims, so that these can go
    /// on to them: their own imports are redirected like all others of the image.
    pub originals: *const AtomicPtr<()>,
    /// How many imports, from the first on, are what unloading needs: threads, thread-local destructors, mappings,
    /// descriptors. The others are the C allocation functions, redirected only when the host was asked to reclaim C
    /// allocations.
    pub always: usize,
}

/// The module's heap, as functions on an opaque pointer.
///
/// The functions are those of a host-owned allocator; they may be called from any thread.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HeapTable {
    /// First argument of all allocating functions.
    pub heap: *mut c_void,
    /// Allocates `size` bytes, aligned to the largest power of two that is neither above `size` nor above
    /// [`HeapTable::NATURAL_ALIGNMENT`]; null if there is no memory.
    pub allocate: unsafe extern "C" fn(heap: *mut c_void, size: usize) -> *mut c_void,
    /// Allocates zeroed bytes.
    pub allocate_zeroed: unsafe extern "C" fn(heap: *mut c_void, size: usize) -> *mut c_void,
    /// Allocates with an alignment, a power of two.
    pub allocate_aligned: unsafe extern "C" fn(heap: *mut c_void, size: usize, align: usize) -> *mut c_void,
    /// Allocates zeroed bytes with an alignment.
    pub allocate_zeroed_aligned:
        unsafe extern "C" fn(heap: *mut c_void, size: usize, align: usize) -> *mut c_void,
    /// Resizes a block; the old block stays valid when null is returned.
    pub reallocate: unsafe extern "C" fn(heap: *mut c_void, block: *mut c_void, size: usize) -> *mut c_void,
    /// Resizes a block and keeps its alignment.
    pub reallocate_aligned:
        unsafe extern "C" fn(heap: *mut c_void, block: *mut c_void, size: usize, align: usize) -> *mut c_void,
    /// Frees a block of this heap. The block comes first, so that the allocator's own function can take over the call
    /// with its argument in place.
    pub free: unsafe extern "C" fn(block: *mut c_void, heap: *mut c_void),
}

impl HeapTable {
    /// Alignment in bytes that `allocate`, `allocate_zeroed` and `reallocate` guarantee for blocks of at least that size.
    pub const NATURAL_ALIGNMENT: usize = 16;
}

/// A time on one thread during which a module's allocations go to the heap of a state that outlives the module.
///
/// The value lies on the stack of the code that entered the scope, and is the host's until the scope is left.
#[repr(C)]
#[derive(Debug)]
pub struct Scope {
    /// What was in effect before.
    pub outer: *const Scope,
    /// The heap of the module that the scope is for.
    pub module_heap: *mut c_void,
    /// Where that module's allocations go.
    pub state_heap: *mut c_void,
}

impl Scope {
    /// A scope that has not been entered.
    pub const fn new() -> Self {
        Self {
            outer: core::ptr::null(),
            module_heap: core::ptr::null_mut(),
            state_heap: core::ptr::null_mut(),
        }
    }
}

impl Default for Scope {
    fn default() -> Self {
        Self::new()
    }
}

/// Host functions for scopes. The first parameter is [`HostContext::module`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ScopeTable {
    /// Enters a scope on the calling thread. `state` is the host's handle of the state's heap, or null for a scope in
    /// which the module allocates as if it were in none.
    ///
    /// `scope` must stay in place until it is left, by the same thread and after all scopes that it entered since. Returns
    /// false, and has entered none, if the module's allocator is not the host's, so that it cannot allocate for a state.
    pub enter: unsafe extern "C" fn(*const c_void, state: *const c_void, scope: *mut Scope) -> bool,
    /// Leaves a scope.
    pub leave: unsafe extern "C" fn(*const c_void, scope: *const Scope),
}

/// What the host gives to one module. It stays in place and unchanged until the image is gone.
#[repr(C)]
#[derive(Debug)]
pub struct HostContext {
    /// Passed back to the host as the first argument of every function of `system`.
    pub module: *const c_void,
    /// The module's heap.
    pub heap: HeapTable,
    /// Scopes in which the module allocates elsewhere.
    pub scopes: ScopeTable,
    /// Where the shims forward to.
    pub system: SystemTable,
}

// SAFETY: the context is written by the host before the module sees it and never afterwards; the functions that it
// names are callable from any thread.
unsafe impl Sync for HostContext {}
// SAFETY: as for `Sync`: nothing in the context belongs to a thread.
unsafe impl Send for HostContext {}

/// The function that a POSIX thread starts with.
#[cfg(unix)]
pub type ThreadStart = unsafe extern "C-unwind" fn(argument: *mut c_void) -> *mut c_void;

/// Host functions for the shims of a module on ELF systems. The first parameter is [`HostContext::module`].
#[cfg(unix)]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SystemTable {
    /// Registers a destructor of a thread-local object of the calling thread. Returns zero.
    pub thread_atexit:
        unsafe extern "C" fn(*const c_void, destructor: Destructor, object: *mut c_void) -> c_int,
    /// `pthread_create`: starts a thread that counts as the module's until its destructors have run.
    pub thread_create: unsafe extern "C" fn(
        *const c_void,
        thread: *mut c_void,
        attributes: *const c_void,
        start: ThreadStart,
        argument: *mut c_void,
    ) -> c_int,
    /// `pthread_key_create`: makes a key whose destructor the host runs.
    pub key_create:
        unsafe extern "C" fn(*const c_void, key: *mut c_uint, destructor: Option<Destructor>) -> c_int,
    /// `pthread_key_delete`.
    pub key_delete: unsafe extern "C" fn(*const c_void, key: c_uint) -> c_int,
    /// `pthread_setspecific`.
    pub key_set: unsafe extern "C" fn(*const c_void, key: c_uint, value: *const c_void) -> c_int,
    /// The module mapped `len` bytes at `address`.
    pub mapped: unsafe extern "C" fn(*const c_void, address: *mut c_void, len: usize),
    /// The module unmapped `len` bytes at `address`, or they moved elsewhere.
    pub unmapped: unsafe extern "C" fn(*const c_void, address: *mut c_void, len: usize),
    /// The module opened a descriptor.
    pub descriptor_opened: unsafe extern "C" fn(*const c_void, descriptor: c_int),
    /// Whether a descriptor is open that the module did not open: a copy to its number would be the host's.
    pub descriptor_foreign: unsafe extern "C" fn(*const c_void, descriptor: c_int) -> bool,
    /// The module is about to close a descriptor.
    pub descriptor_closing: unsafe extern "C" fn(*const c_void, descriptor: c_int),
    /// The module changed a signal's disposition.
    pub signal_changed: unsafe extern "C" fn(*const c_void, signal: c_int),
    /// The module opened a library.
    pub library_opened: unsafe extern "C" fn(*const c_void, handle: *mut c_void),
    /// The module is about to close a library.
    pub library_closing: unsafe extern "C" fn(*const c_void, handle: *mut c_void),
    /// Whether a block of memory belongs to the module's heap.
    pub heap_owns: unsafe extern "C" fn(*const c_void, block: *const c_void) -> bool,
    /// Usable size in bytes of a block of the module's heap.
    pub heap_usable_size: unsafe extern "C" fn(*const c_void, block: *const c_void) -> usize,
}

/// Where a module keeps the functions of one import interface; an array of these is the section
/// [`IMPORT_SECTION`](crate::metadata::IMPORT_SECTION).
#[repr(C)]
pub struct ImportTable {
    /// [`interface_id`](crate::metadata::interface_id) of the interface's record.
    pub interface: u64,
    /// The functions of the interface in the module's order, written once by the host.
    pub slots: *mut FunctionEntry,
    /// Number of slots.
    pub len: usize,
}

// SAFETY: the table itself is constant; the slots behind it are written once, by the host, before it calls or attaches the
// module.
unsafe impl Sync for ImportTable {}

/// What a module exports for each interface that it implements.
#[repr(C)]
pub struct ExportTable {
    /// The functions of the interface in the module's order.
    pub functions: RawSlice<FunctionEntry>,
}

// SAFETY: the table and the functions behind it are constants of the image.
unsafe impl Sync for ExportTable {}
