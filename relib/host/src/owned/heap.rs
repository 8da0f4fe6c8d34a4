//! The heap of one module: owned by the host, used by the module, freed as a whole.
//!
//! It is a first-class heap of mimalloc v3, which any thread may allocate from without a lock that others contend for.
//! Nothing is recorded for each allocation: destroying the heap gives its pages back, however many blocks are in them.
//! How a module allocates from it is in [`allocation`](super::allocation).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{c_long, c_void};
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once};

use libmimalloc_sys as mimalloc;
use relib_abi::entry::Scope;

use crate::lock::lock;
use crate::platform;

/// Memory in use by a module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Bytes in live blocks, each rounded up to its size class.
    pub bytes: usize,
    /// Number of live blocks.
    pub blocks: usize,
}

/// A module's heap. Dropping it leaks it, because code that is still mapped may use it; see [`Heap::destroy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heap(NonNull<mimalloc::mi_heap_t>);

// SAFETY: mimalloc v3 allows every operation on a first-class heap from any thread.
unsafe impl Send for Heap {}
// SAFETY: as for `Send`.
unsafe impl Sync for Heap {}

impl Heap {
    /// A new, empty heap; `None` if there is no memory for it. It is described by blocks of the calling thread's, the end of
    /// which must be watched.
    pub(super) fn make() -> Option<Self> {
        static FIRST_ARENA: Once = Once::new();
        static LATER_ARENAS: Once = Once::new();
        FIRST_ARENA.call_once(|| {
            keep_off_environment();
            reserve_in_steps_of(FIRST_ARENA_KIB);
        });
        // SAFETY: the function has no preconditions.
        let heap = NonNull::new(unsafe { mimalloc::mi_heap_new() })?;
        // The heap's own description is in the first arena.
        LATER_ARENAS.call_once(|| reserve_in_steps_of(LATER_ARENA_KIB));
        Some(Self(heap))
    }

    /// As modules and mimalloc refer to it.
    pub(super) fn as_ptr(self) -> *mut c_void {
        self.0.as_ptr().cast()
    }

    /// The heap that [`as_ptr`](Self::as_ptr) has given; `None` for null.
    ///
    /// # Safety
    /// It must not have been destroyed.
    pub(super) unsafe fn from_ptr(heap: *mut c_void) -> Option<Self> {
        NonNull::new(heap.cast()).map(Self)
    }

    /// Whether a block, or the inside of one, belongs to this heap.
    pub(crate) fn owns(&self, block: *const c_void) -> bool {
        // SAFETY: mimalloc looks the address up in its page map, and accepts any address.
        unsafe { mi_heap_contains(self.0.as_ptr(), block) }
    }

    /// What is in use now.
    ///
    /// Looks at each page of the heap, not at each block. A block that one thread freed for another may be counted
    /// until its page is used again; while other threads allocate, the result is approximate.
    pub(crate) fn usage(&self) -> MemoryUse {
        let mut usage = MemoryUse::default();
        let _teardown = lock(&TEARDOWN);
        // SAFETY: the visitor gets the pointer to `usage` and nothing else uses it during the visit.
        unsafe {
            mimalloc::mi_heap_visit_blocks(self.0.as_ptr(), false, Some(add_area), (&raw mut usage).cast())
        };
        usage
    }

    /// Frees all blocks at once. The memory goes back to the system, but for [`KEPT`] bytes.
    ///
    /// # Safety
    /// Nothing may use a block of this heap, or the heap, any more: the module's image must be gone.
    pub(crate) unsafe fn destroy(self) {
        lock(&VALIDATED).remove(&self.0.as_ptr().addr());
        // SAFETY: the caller guarantees that no block is in use, and does not use the heap again.
        unsafe {
            let teardown = lock(&TEARDOWN);
            mimalloc::mi_heap_destroy(self.0.as_ptr());
            give_back_memory(teardown);
        }
    }
}

/// The modules whose deallocations are validated, by the addresses of their heaps; for the message only.
pub(super) static VALIDATED: Mutex<BTreeMap<usize, PathBuf>> = Mutex::new(BTreeMap::new());

/// Has mimalloc reserve address space in steps of so many KiB, unless the program has said otherwise. Arenas grow with their
/// number.
fn reserve_in_steps_of(kib: c_long) {
    // SAFETY: mimalloc allows setting options at any time; this one is read when the next arena is made.
    unsafe {
        if std::env::var_os("MIMALLOC_ARENA_RESERVE").is_some() {
            mimalloc::mi_option_set(ARENA_RESERVE, kib);
        } else {
            mimalloc::mi_option_set_default(ARENA_RESERVE, kib);
        }
    }
}

/// Options of mimalloc 3 (`mi_option_e` of its `mimalloc.h`), which `libmimalloc-sys` does not declare. The unit of sizes is
/// KiB.
const ARENA_RESERVE: mimalloc::mi_option_t = 23;
const PURGE_DELAY: mimalloc::mi_option_t = 15;
const DISALLOW_OS_ALLOC: mimalloc::mi_option_t = 17;
const ARENA_PURGE_MULT: mimalloc::mi_option_t = 24;
const DISALLOW_ARENA_ALLOC: mimalloc::mi_option_t = 26;
const ARENA_MAX_OBJECT_SIZE: mimalloc::mi_option_t = 45;

/// Gives options their defaults that relib relies on and that the environment changes, which may be meant for another
/// program: heaps that do not take their pages from arenas are not reclaimed as a whole.
fn keep_off_environment() {
    const OPTIONS: [(&str, mimalloc::mi_option_t, c_long); 7] = [
        ("MIMALLOC_DISALLOW_ARENA_ALLOC", DISALLOW_ARENA_ALLOC, 0),
        ("MIMALLOC_DISALLOW_OS_ALLOC", DISALLOW_OS_ALLOC, 0),
        ("MIMALLOC_LIMIT_OS_ALLOC", DISALLOW_OS_ALLOC, 0),
        ("MIMALLOC_ARENA_MAX_OBJECT_SIZE", ARENA_MAX_OBJECT_SIZE, 2 << 20),
        ("MIMALLOC_PURGE_DELAY", PURGE_DELAY, 1000),
        ("MIMALLOC_RESET_DELAY", PURGE_DELAY, 1000),
        ("MIMALLOC_ARENA_PURGE_MULT", ARENA_PURGE_MULT, 1),
    ];
    for (name, option, value) in OPTIONS {
        if std::env::var_os(name).is_some() {
            // SAFETY: as above.
            unsafe { mimalloc::mi_option_set(option, value) };
        }
    }
}

/// Enough for the heaps of some hundred small modules.
///
/// A heap that takes its first page from an arena gets bitmaps for the whole arena, which are zeroed then: some 200 KiB
/// for the gibibyte that mimalloc would reserve, and a tenth of that for this.
const FIRST_ARENA_KIB: c_long = 64 * 1024;

/// A heap that takes pages from a second arena is large, or one of many.
///
/// An arena begins with tables that stay, so that the kernel has to split the large page that they are in: giving back the
/// rest of it takes as long as giving back the 60 MiB that follow.
const LATER_ARENA_KIB: c_long = 128 * 1024;

/// How much memory of heaps that were destroyed may wait for the next heap instead of going back to the system.
///
/// Giving back the few pages of a small module, and getting them again for the next one, costs more than the rest of
/// what a heap does in a load and an unload.
const KEPT: u64 = 4 << 20;

/// Gives the memory of heaps that were destroyed back to the system if it may be more than [`KEPT`].
fn give_back_memory(_teardown: MutexGuard<'_, ()>) {
    static GIVEN_BACK: AtomicU64 = AtomicU64::new(0);

    let taken = stats::taken_by_destroyed_heaps();
    // The host may have reset mimalloc's statistics.
    if taken.is_none_or(|taken| taken.abs_diff(GIVEN_BACK.load(Ordering::Relaxed)) > KEPT) {
        // SAFETY: the function has no preconditions.
        unsafe { mimalloc::mi_collect(true) };
        // Asked again, because the collection adds what the main heap has taken.
        GIVEN_BACK.store(stats::taken_by_destroyed_heaps().unwrap_or_default(), Ordering::Relaxed);
    }
}

/// What mimalloc counts (`mimalloc-stats.h`, which `libmimalloc-sys` does not declare).
mod stats {
    use std::ffi::c_void;

    use libmimalloc_sys::mi_heap_t;

    /// `MI_STAT_VERSION`.
    const VERSION: usize = 5;
    /// `MI_BIN_HUGE`: the last bin, for blocks that have a page each.
    const HUGE: usize = 73;
    /// Blocks up to this size share pages of [`SMALL_PAGE`] bytes; larger ones, pages of up to [`LARGE_PAGE`].
    const SMALL_BLOCK: usize = 8 << 10;
    const SMALL_PAGE: u64 = 64 << 10;
    const LARGE_PAGE: u64 = 4 << 20;

    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Count {
        total: i64,
        peak: i64,
        current: i64,
    }

    #[repr(C)]
    struct Stats {
        size: usize,
        version: usize,
        /// Statistics that are not by size.
        others: [i64; 82],
        malloc_bins: [Count; HUGE + 1],
        page_bins: [Count; HUGE + 1],
        chunk_bins: [Count; 6],
    }

    /// `mi_subproc_id_t`.
    #[repr(C)]
    struct Process(*mut c_void);

    unsafe extern "C" {
        fn mi_subproc_main() -> Process;
        /// Moves what a heap has counted to the whole; null stands for the main heap.
        fn mi_heap_stats_merge_to_subproc(heap: *mut mi_heap_t);
        /// Copies the whole, or returns false if the size or the version is not that of mimalloc's own type.
        fn mi_subproc_stats_get_exclusive(process: Process, stats: *mut Stats) -> bool;
        fn mi_stats_get_bin_size(bin: usize) -> usize;
    }

    /// The size of all pages that heaps have ever taken that are destroyed by now: at least what they may have left to
    /// be given back. `None` if mimalloc is not of the version that is known here.
    ///
    /// No heap may be destroyed meanwhile.
    pub(super) fn taken_by_destroyed_heaps() -> Option<u64> {
        let none = Count::default();
        let mut stats = Stats {
            size: size_of::<Stats>(),
            version: VERSION,
            others: [0; _],
            malloc_bins: [none; _],
            page_bins: [none; _],
            chunk_bins: [none; _],
        };
        // SAFETY: a heap that is destroyed has added what it counted to the main heap, which always exists. mimalloc
        // writes no more than the size that it was told.
        let known = unsafe {
            mi_heap_stats_merge_to_subproc(std::ptr::null_mut());
            mi_subproc_stats_get_exclusive(mi_subproc_main(), &mut stats)
        };
        let page_size = |bin| {
            // SAFETY: the function has no preconditions for a bin that there is.
            if unsafe { mi_stats_get_bin_size(bin) } <= SMALL_BLOCK { SMALL_PAGE } else { LARGE_PAGE }
        };
        let pages = stats.page_bins.iter().map(|count| count.total.unsigned_abs());
        known.then(|| pages.enumerate().map(|(bin, pages)| pages.saturating_mul(page_size(bin))).sum())
    }
}

/// Held while a heap is destroyed or looked at, and while an ending thread gives up its part of the heaps.
///
/// mimalloc 3.3.2 lets the first and the last run at once: the thread then finds the heap gone in the middle of its work
/// and crashes in `mi_stats_add` (microsoft/mimalloc, issue 1320). Therefore each thread that has allocated from a
/// module's heap does that work under this lock, before mimalloc would do it by itself.
static TEARDOWN: Mutex<()> = Mutex::new(());

thread_local! {
    /// What has to be known of the calling thread before it allocates: null if it has not allocated from a module's heap
    /// yet, [`NO_SCOPE`] if it has, or the innermost scope that it is in. One value, so that the allocation path asks
    /// once.
    pub(super) static SCOPE: Cell<*const Scope> = const { Cell::new(std::ptr::null()) };
}

/// Stands for no scope on a thread that has allocated.
pub(super) const NO_SCOPE: *const Scope = std::ptr::without_provenance(align_of::<Scope>());

/// Gives up the calling thread's part of all heaps. It may allocate again, and gets a new one.
pub(crate) fn leave() {
    if !SCOPE.get().is_null() {
        // A thread that ends in a scope never leaves it.
        SCOPE.set(NO_SCOPE);
        let _teardown = lock(&TEARDOWN);
        // SAFETY: mimalloc allows this at any time on any thread but its main one, which never leaves: the blocks that
        // the thread has allocated stay alive.
        unsafe {
            if !_mi_is_main_thread() {
                mimalloc::mi_thread_done();
                platform::forget_thread_of_allocator();
            }
        }
    }
}

/// Usable size in bytes of a block of any mimalloc heap.
///
/// # Safety
/// The block must be alive.
pub(crate) unsafe fn usable_size(block: *const c_void) -> usize {
    // SAFETY: the caller guarantees that the block is alive.
    unsafe { mimalloc::mi_usable_size(block) }
}

unsafe extern "C" {
    /// Not declared by `libmimalloc-sys` for version 3.
    fn mi_heap_contains(heap: *const mimalloc::mi_heap_t, block: *const c_void) -> bool;
    /// Whether mimalloc was initialised on the calling thread. Not part of its public interface.
    fn _mi_is_main_thread() -> bool;
}

unsafe extern "C" fn add_area(
    _heap: *const mimalloc::mi_heap_t,
    area: *const mimalloc::mi_heap_area_t,
    _block: *mut c_void,
    _block_size: usize,
    usage: *mut c_void,
) -> bool {
    // SAFETY: mimalloc passes an area that is valid during the call, and the pointer that `usage` gave it.
    let (area, usage) = unsafe { (&*area, &mut *usage.cast::<MemoryUse>()) };
    // In version 3 `used` is a number of blocks. While other threads allocate it may be any number.
    usage.blocks = usage.blocks.saturating_add(area.used);
    usage.bytes = usage.bytes.saturating_add(area.used.saturating_mul(area.block_size));
    true
}
