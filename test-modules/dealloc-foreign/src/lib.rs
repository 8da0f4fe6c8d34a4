//! Frees and resizes blocks by their addresses, whoever has allocated them.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::hint::black_box;

use fixture_interface::memory::ForeignBlocks;

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 8).unwrap()
}

#[relib_module::export]
impl ForeignBlocks for ForeignBlocksImpl {
    fn allocate(bytes: usize) -> usize {
        // SAFETY: the scenario asks for some bytes.
        black_box(unsafe { alloc(layout(bytes)) }).expose_provenance()
    }

    fn free(address: usize, bytes: usize) {
        // SAFETY: the block is alive and has that size, says the scenario. Whose it is, is what the host validates.
        unsafe { dealloc(std::ptr::with_exposed_provenance_mut(address), layout(bytes)) };
    }

    fn resize(address: usize, bytes: usize, new_bytes: usize) {
        // SAFETY: as for `free`.
        black_box(unsafe {
            realloc(std::ptr::with_exposed_provenance_mut(address), layout(bytes), new_bytes)
        });
    }
}
