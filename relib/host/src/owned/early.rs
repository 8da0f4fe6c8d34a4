//! What a module has allocated before it had its heap: memory of the system's allocator that outlives the code that made
//! it, and that the host frees when the image is gone. How the module divides it is the module's.

use std::alloc::{GlobalAlloc as _, System};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use relib_abi::entry::EarlyMemory;

/// Where a module notes its early memory; nothing for one that was never connected.
#[derive(Debug, Default)]
pub(crate) struct Early(Option<NonNull<EarlyMemory>>);

// SAFETY: the note is an atomic, which any thread may read.
unsafe impl Send for Early {}
// SAFETY: as for `Send`.
unsafe impl Sync for Early {}

impl Early {
    /// # Safety
    /// `note` must be what a module's entry table says, and stay mapped while [`block`](Self::block) is called.
    pub(crate) unsafe fn new(note: *const EarlyMemory) -> Self {
        Self(NonNull::new(note.cast_mut()))
    }

    /// The module's early memory, if it has any.
    ///
    /// # Safety
    /// The image must be mapped.
    pub(crate) unsafe fn block(&self) -> Option<EarlyBlock> {
        // SAFETY: the image, which the note is a part of, is mapped, says the caller.
        let start = unsafe { self.0?.as_ref() }.start.load(Ordering::Acquire);
        (start != EarlyMemory::NONE).then_some(EarlyBlock(start))
    }
}

/// The memory itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EarlyBlock(*mut u8);

impl EarlyBlock {
    /// Whether an address is in it.
    pub(crate) fn contains(self, address: usize) -> bool {
        EarlyMemory::block_contains(self.0, address)
    }

    /// Gives it back.
    ///
    /// # Safety
    /// The image must be gone, and nothing may refer into the block.
    pub(crate) unsafe fn free(self) {
        // SAFETY: the block is of this layout and of this allocator by the contract; nothing uses it any more.
        unsafe { System.dealloc(self.0, EarlyMemory::LAYOUT) };
    }
}
