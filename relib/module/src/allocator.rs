//! The module's allocator: three indirect calls into a heap that the host owns.
//!
//! Code that runs without a host, such as constructors of an image that is loaded in place, gets its memory from
//! `early.rs`.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ffi::c_void;

use relib_abi::entry::HeapTable;

use crate::early::{self, ARENA};

/// The allocator of relib modules.
///
/// With the default feature `global-allocator` it is the module's global allocator already. A module that wants one of
/// its own switches the feature off and composes the two, so that its memory is still reclaimed on unload:
///
/// ```
/// use std::alloc::{GlobalAlloc, Layout};
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use relib_module::ModuleAlloc;
///
/// struct Counting(AtomicUsize);
///
/// // SAFETY: forwards to `ModuleAlloc`, which is an allocator.
/// unsafe impl GlobalAlloc for Counting {
///     unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
///         self.0.fetch_add(1, Ordering::Relaxed);
///         // SAFETY: the caller keeps the contract of `GlobalAlloc`.
///         unsafe { ModuleAlloc.alloc(layout) }
///     }
///
///     unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
///         // SAFETY: the block came from `ModuleAlloc`, by `alloc` above.
///         unsafe { ModuleAlloc.dealloc(block, layout) }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ModuleAlloc;

#[cfg(feature = "global-allocator")]
#[global_allocator]
static GLOBAL: ModuleAlloc = ModuleAlloc;

/// The heap in use. Starts with one that needs no host, so that allocating needs no test whether there is one.
struct CurrentHeap(UnsafeCell<HeapTable>);

// SAFETY: written once by `attach`, when the image has no thread of its own and the loading thread is in the host;
// every other access reads.
unsafe impl Sync for CurrentHeap {}

static HEAP: CurrentHeap = CurrentHeap(UnsafeCell::new(early::HEAP));

#[inline]
fn heap() -> &'static HeapTable {
    // SAFETY: see `CurrentHeap`.
    unsafe { &*HEAP.0.get() }
}

/// From here on memory comes from the host's heap; false, and nothing changes, if there are blocks that this heap could
/// not free.
///
/// Such blocks could be told from the heap's in each call of `dealloc`; but then every call would pay for code that
/// allocates too much too early.
pub(crate) fn attach(table: &HeapTable) -> bool {
    if early::holds_system_memory() {
        return false;
    }
    // SAFETY: see `CurrentHeap`: nothing else reads or writes the heap table while the host attaches the module.
    unsafe { *HEAP.0.get() = *table };
    true
}

// SAFETY: blocks come from the arena or from the heap in use, both of which return blocks of the size and alignment asked
// for, or null; each block is freed and resized by the one that it came from, since the heap in use is only changed while
// it has no blocks.
unsafe impl GlobalAlloc for ModuleAlloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let table = heap();
        // SAFETY: the functions belong to `table.heap`.
        unsafe {
            if has_natural_alignment(layout) {
                (table.allocate)(table.heap, layout.size()).cast()
            } else {
                (table.allocate_aligned)(table.heap, layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let table = heap();
        // SAFETY: the functions belong to `table.heap`.
        unsafe {
            if has_natural_alignment(layout) {
                (table.allocate_zeroed)(table.heap, layout.size()).cast()
            } else {
                (table.allocate_zeroed_aligned)(table.heap, layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        if !ARENA.contains(block) {
            let table = heap();
            // SAFETY: a block that is not the arena's is the heap's, says the caller of `dealloc`.
            unsafe { (table.free)(block.cast(), table.heap) };
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if ARENA.contains(block) {
            // SAFETY: the block holds `layout.size()` bytes, says the caller of `realloc`.
            return unsafe { move_out_of_arena(block, layout, size) };
        }
        let table = heap();
        // SAFETY: the functions belong to `table.heap`, and a block that is not the arena's is the heap's. The layout is
        // the one that the caller of `realloc` vouches for.
        unsafe {
            // What counts is the new block: one of 8 bytes need not lie at a multiple of 16, though the old one did.
            if has_natural_alignment(Layout::from_size_align_unchecked(size, layout.align())) {
                (table.reallocate)(table.heap, block.cast(), size).cast()
            } else {
                (table.reallocate_aligned)(table.heap, block.cast(), size, layout.align()).cast()
            }
        }
    }
}

/// Whether the heap aligns such a block without being asked: it does for blocks of at least that size.
#[inline]
fn has_natural_alignment(layout: Layout) -> bool {
    layout.align() <= HeapTable::NATURAL_ALIGNMENT && layout.align() <= layout.size()
}

#[cold]
unsafe fn move_out_of_arena(block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
    // SAFETY: the new layout has the old alignment and the size that the caller of `realloc` vouches for.
    unsafe {
        let moved = ModuleAlloc.alloc(Layout::from_size_align_unchecked(size, layout.align()));
        if !moved.is_null() {
            std::ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
        }
        moved
    }
}

/// Allocates and frees a block through whatever the module's global allocator is, and shows the block to the host.
pub(crate) unsafe extern "C" fn probe(context: *mut (), visit: unsafe extern "C" fn(*mut (), *const u8)) {
    let block: Box<[u8; 64]> = Box::new(std::hint::black_box([0; 64]));
    // SAFETY: the host passes a function together with its context; it does not keep the address.
    unsafe { visit(context, std::hint::black_box(block.as_ptr())) };
}

/// A block for C code; null if there is no memory. `align` is a power of two.
pub(crate) fn allocate(size: usize, align: usize) -> *mut c_void {
    let table = heap();
    // SAFETY: the functions belong to `table.heap`. C code expects a block of its own for zero bytes too.
    unsafe { (table.allocate_aligned)(table.heap, size.max(1), align) }
}

/// A zeroed block for C code; null if there is no memory.
pub(crate) fn allocate_zeroed(size: usize) -> *mut c_void {
    let table = heap();
    // SAFETY: the functions belong to `table.heap`.
    unsafe { (table.allocate_zeroed_aligned)(table.heap, size.max(1), HeapTable::NATURAL_ALIGNMENT) }
}

/// Resizes a block for C code; null if there is no memory. `align` is a power of two.
///
/// # Safety
/// The block must be the heap's; unless null is returned it is given up.
pub(crate) unsafe fn reallocate(block: *mut c_void, size: usize, align: usize) -> *mut c_void {
    let table = heap();
    // SAFETY: the functions belong to `table.heap`, and so does the block, says the caller.
    unsafe { (table.reallocate_aligned)(table.heap, block, size.max(1), align) }
}

/// Frees a block of C code.
///
/// # Safety
/// The block must be the heap's and is given up.
pub(crate) unsafe fn free(block: *mut c_void) {
    let table = heap();
    // SAFETY: as the caller says.
    unsafe { (table.free)(block, table.heap) };
}
