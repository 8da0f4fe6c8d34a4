//! Is linked with the fixture `plain-library`, in the way of Windows, where a file names the libraries of its imports and
//! the loader looks for them beside the file. Elsewhere it is empty.
#![cfg(windows)]

use fixture_interface::load::Linked;

#[link(name = "plain_library", kind = "raw-dylib")]
unsafe extern "C" {
    safe fn fixture_answer() -> u64;
}

#[relib_module::export]
impl Linked for LinkedImpl {
    fn answer() -> u64 {
        fixture_answer()
    }
}
