//! Opens other libraries, and closes those that it is told to.

use std::ffi::c_void;

use fixture_interface::ledger::Libraries;

#[relib_module::export]
impl Libraries for LibrariesImpl {
    fn open(path: &str) -> (u64, usize) {
        let handle = fixture_system::open_library(path);
        // SAFETY: the handle was just opened. The fixture `plain-library` has the function, and with this type.
        let answer = unsafe {
            let function = fixture_system::function_of(handle, c"fixture_answer");
            std::mem::transmute::<*const c_void, extern "C" fn() -> u64>(function)()
        };
        (answer, handle.expose_provenance())
    }

    fn close(handle: usize) {
        // SAFETY: the host passes what `open` has returned, and uses it no more.
        unsafe { fixture_system::close_image(std::ptr::with_exposed_provenance_mut(handle)) };
    }
}
