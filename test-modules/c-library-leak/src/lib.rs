//! Leaks blocks of C code, and exchanges blocks with the C library.

use fixture_interface::memory::CLibrary;

unsafe extern "C" {
    safe fn fixture_leak(blocks: usize, bytes: usize);
    safe fn fixture_mix() -> u32;
}

#[relib_module::export]
impl CLibrary for CLibraryImpl {
    fn leak(blocks: usize, bytes: usize) {
        fixture_leak(blocks, bytes);
    }

    fn mix() -> u32 {
        fixture_mix()
    }
}
