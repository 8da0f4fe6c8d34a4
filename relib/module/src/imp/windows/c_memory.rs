//! Blocks of C code: those of the module's heap there, others by the original function.

use std::ffi::c_void;

use super::told::Handle;
use crate::allocator;
use crate::context::host;
use crate::imp::shim::tell_host;

/// Whether a heap is the process's, which is the one that `HeapAlloc` is redirected for.
pub(super) fn is_process_heap(heap: Handle) -> bool {
    heap == host().0.process_heap
}

/// Resizes a block for C code: one of the heap's there, another by the original.
///
/// # Safety
/// The block must be null or one that the module may resize, and is given up unless null is returned. `align` is a power
/// of two.
pub(super) unsafe fn reallocated(
    block: *mut c_void,
    size: usize,
    align: usize,
    original: impl FnOnce() -> *mut c_void,
) -> *mut c_void {
    if block.is_null() {
        allocator::allocate(size, align)
    } else if tell_host!(heap_owns(block)) {
        // SAFETY: the host says that the block is the heap's; the caller gives it up.
        unsafe { allocator::reallocate(block, size, align) }
    } else {
        original()
    }
}

/// Frees a block of C code: one of the heap's there, another by the original.
///
/// # Safety
/// The block must be null or one that the module may free, and is given up.
pub(super) unsafe fn freed(block: *mut c_void, original: impl FnOnce()) {
    if block.is_null() {
    } else if tell_host!(heap_owns(block)) {
        // SAFETY: the host says that the block is the heap's; the caller gives it up.
        unsafe { allocator::free(block) }
    } else {
        original();
    }
}
