//! Memory for code that runs without a host: constructors of an image that is loaded in place, and programs, such as unit
//! tests of a module, that are never attached to a host.
//!
//! Small blocks come from an arena, which is never reused, and which the host frees when the image is gone. What does not
//! fit comes from the system's allocator, together with what has to be known to give it back. The host's heap cannot take
//! such a block over, so a module that holds one is not attached: see [`holds_system_memory`].

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use relib_abi::entry::{EarlyMemory, HeapTable};

/// The heap of an image that has no host.
pub(crate) const HEAP: HeapTable = HeapTable {
    heap: std::ptr::null_mut(),
    allocate,
    allocate_zeroed,
    allocate_aligned,
    allocate_zeroed_aligned,
    reallocate,
    reallocate_aligned,
    free,
};

/// One block of the system's allocator, made when it is first needed.
///
/// Most modules never need it, and a part of the image of that size would cost each load a mapping.
pub(crate) struct Arena {
    memory: EarlyMemory,
    used: AtomicUsize,
}

// See `entry::CONTEXT`.
#[unsafe(link_section = ".data")]
pub(crate) static ARENA: Arena =
    Arena { memory: EarlyMemory { start: AtomicPtr::new(EarlyMemory::NONE) }, used: AtomicUsize::new(0) };

impl Arena {
    const LEN: usize = EarlyMemory::LAYOUT.size();

    /// Where the host finds the block.
    pub(crate) const fn memory(&self) -> *const EarlyMemory {
        &raw const self.memory
    }

    /// Whether a block is the arena's. Its blocks are never freed, and they hold zeros when they are handed out.
    #[inline]
    pub(crate) fn contains(&self, block: *const u8) -> bool {
        EarlyMemory::block_contains(self.memory.start.load(Ordering::Relaxed), block.addr())
    }

    /// The beginning of the arena, which is made if there is none; `None` if the system has no memory.
    fn start(&self) -> Option<*mut u8> {
        let present = self.memory.start.load(Ordering::Acquire);
        if present != EarlyMemory::NONE {
            return Some(present);
        }
        // SAFETY: the size of the layout is not zero.
        let made = unsafe { System.alloc_zeroed(EarlyMemory::LAYOUT) };
        if made.is_null() {
            return None;
        }
        let noted =
            self.memory.start.compare_exchange(EarlyMemory::NONE, made, Ordering::AcqRel, Ordering::Acquire);
        if noted.is_err() {
            // SAFETY: the block was just made, and nobody has seen it.
            unsafe { System.dealloc(made, EarlyMemory::LAYOUT) };
        }
        Some(noted.err().unwrap_or(made))
    }

    /// A block of zeros; `None` if it does not fit.
    fn allocate(&self, size: usize, align: usize) -> Option<*mut u8> {
        let memory = self.start()?;
        let start = memory.addr();
        let mut place = 0;
        let reserve = |used: usize| {
            place = (start + used).checked_next_multiple_of(align)? - start;
            place.checked_add(size).filter(|end| *end <= Self::LEN)
        };
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve).ok()?;
        // SAFETY: `place + size` is within the arena, and this part was reserved for nobody else.
        Some(unsafe { memory.add(place) })
    }
}

/// How many blocks of the system's allocator there are.
// See `entry::CONTEXT`.
#[unsafe(link_section = ".data")]
static SYSTEM_BLOCKS: AtomicUsize = AtomicUsize::new(0);

/// Whether there are blocks that only the functions of this module can free.
pub(crate) fn holds_system_memory() -> bool {
    SYSTEM_BLOCKS.load(Ordering::Acquire) > 0
}

/// Stands in front of each block that comes from the system's allocator.
struct Header {
    /// What the system's allocator returned.
    start: *mut u8,
    /// What it was asked for.
    layout: Layout,
    /// How many bytes of that are the block.
    size: usize,
}

/// Allocates from the system; null if it has no memory.
fn allocate_from_system(
    size: usize,
    align: usize,
    allocate: unsafe fn(&System, Layout) -> *mut u8,
) -> *mut c_void {
    let align = align.max(align_of::<Header>());
    let before = size_of::<Header>().next_multiple_of(align);
    let layout = before.checked_add(size).and_then(|size| Layout::from_size_align(size, align).ok());
    let Some(layout) = layout else { return std::ptr::null_mut() };
    // SAFETY: the size is not zero, because it has room for a header.
    let start = unsafe { allocate(&System, layout) };
    if start.is_null() {
        return std::ptr::null_mut();
    }
    SYSTEM_BLOCKS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the memory has `before` bytes in front of the block, which is aligned for a header.
    unsafe {
        let block = start.add(before);
        header(block).write(Header { start, layout, size });
        block.cast()
    }
}

/// Where the header of a block is.
///
/// # Safety
/// The block must be one of [`allocate_from_system`]'s.
unsafe fn header(block: *mut u8) -> *mut Header {
    // SAFETY: there is room for a header in front of the block, says the caller.
    unsafe { block.cast::<Header>().sub(1) }
}

fn allocate_zeros(size: usize, align: usize) -> *mut c_void {
    match ARENA.allocate(size, align) {
        Some(block) => block.cast(),
        None => allocate_from_system(size, align, System::alloc_zeroed),
    }
}

unsafe extern "C" fn allocate(heap: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: as the caller guarantees.
    unsafe { allocate_aligned(heap, size, HeapTable::NATURAL_ALIGNMENT) }
}

unsafe extern "C" fn allocate_aligned(_heap: *mut c_void, size: usize, align: usize) -> *mut c_void {
    match ARENA.allocate(size, align) {
        Some(block) => block.cast(),
        None => allocate_from_system(size, align, System::alloc),
    }
}

unsafe extern "C" fn allocate_zeroed(_heap: *mut c_void, size: usize) -> *mut c_void {
    allocate_zeros(size, HeapTable::NATURAL_ALIGNMENT)
}

unsafe extern "C" fn allocate_zeroed_aligned(_heap: *mut c_void, size: usize, align: usize) -> *mut c_void {
    allocate_zeros(size, align)
}

// `ModuleAlloc` handles the arena's blocks before it comes to the table: those that are passed below are the system's.

unsafe extern "C" fn reallocate(heap: *mut c_void, block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: as the caller guarantees.
    unsafe { reallocate_aligned(heap, block, size, HeapTable::NATURAL_ALIGNMENT) }
}

unsafe extern "C" fn reallocate_aligned(
    heap: *mut c_void,
    block: *mut c_void,
    size: usize,
    align: usize,
) -> *mut c_void {
    // SAFETY: the block is one of the system's, and the caller gives it up for the new one.
    unsafe {
        let moved = allocate_aligned(heap, size, align);
        if !moved.is_null() {
            let kept = (*header(block.cast())).size.min(size);
            moved.copy_from_nonoverlapping(block, kept);
            free(block, heap);
        }
        moved
    }
}

unsafe extern "C" fn free(block: *mut c_void, _heap: *mut c_void) {
    // SAFETY: the block is one of the system's, and the caller gives it up; its header says what it is part of.
    unsafe {
        let Header { start, layout, .. } = header(block.cast()).read();
        System.dealloc(start, layout);
    }
    SYSTEM_BLOCKS.fetch_sub(1, Ordering::Release);
}
