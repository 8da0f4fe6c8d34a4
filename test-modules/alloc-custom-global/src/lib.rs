//! Has a global allocator of its own, which takes its memory from relib's.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use fixture_interface::memory::CountingAllocator;
use relib_module::ModuleAlloc;

/// Counts allocations.
struct Counting {
    allocations: AtomicUsize,
}

// SAFETY: passes everything on to `ModuleAlloc`, which is an allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.allocations.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller guarantees.
        unsafe { ModuleAlloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block came from `ModuleAlloc`, by `alloc` above.
        unsafe { ModuleAlloc.dealloc(block, layout) }
    }
}

// Without the feature, which the harness sets, cargo builds this package together with those that want relib's allocator.
#[cfg_attr(feature = "own-global-allocator", global_allocator)]
static GLOBAL: Counting = Counting { allocations: AtomicUsize::new(0) };

#[relib_module::export]
impl CountingAllocator for CountingAllocatorImpl {
    fn leak(blocks: usize, bytes: usize) -> usize {
        let before = GLOBAL.allocations.load(Ordering::Relaxed);
        for _ in 0..blocks {
            std::mem::forget(black_box(vec![1u8; bytes].into_boxed_slice()));
        }
        GLOBAL.allocations.load(Ordering::Relaxed) - before
    }
}
