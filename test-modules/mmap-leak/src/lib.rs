//! Leaves memory mapped, whole mappings and parts of them.

use std::ffi::c_void;

use fixture_interface::ledger::Mappings;

const PAGE: usize = 4096;

fn pointer(address: usize) -> *mut c_void {
    std::ptr::with_exposed_provenance_mut(address)
}

#[relib_module::export]
impl Mappings for MappingsImpl {
    fn map(pages: usize) -> usize {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new private mapping wherever there is room.
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), pages * PAGE, protection, flags, -1, 0) };
        assert_ne!(mapped, libc::MAP_FAILED);
        mapped.expose_provenance()
    }

    fn unmap(address: usize, pages: usize) {
        // SAFETY: the host passes pages that this module has mapped and that nothing refers to.
        assert_eq!(unsafe { libc::munmap(pointer(address), pages * PAGE) }, 0);
    }

    fn resize(address: usize, pages: usize, new_pages: usize) -> usize {
        // SAFETY: as in `unmap`.
        let moved =
            unsafe { libc::mremap(pointer(address), pages * PAGE, new_pages * PAGE, libc::MREMAP_MAYMOVE) };
        assert_ne!(moved, libc::MAP_FAILED);
        moved.expose_provenance()
    }

    fn touch(address: usize, pages: usize) {
        for page in 0..pages {
            // SAFETY: the host passes pages that this module has mapped.
            unsafe { pointer(address + page * PAGE).cast::<u8>().write_volatile(1) };
        }
    }
}
