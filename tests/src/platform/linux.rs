//! Linux with glibc.

use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;

use relib_harness::{Failure, Platform};

/// The platform that this code was compiled for.
pub const PLATFORM: Platform = Platform::LinuxX86_64;

/// How many lines of `/proc/self/maps` are of files with this name, whatever their directories and whether or not they
/// are deleted. A staged copy's name ends with that of the original.
///
/// # Errors
/// When the system does not tell.
pub fn mappings_of(name: &str) -> Result<usize, Failure> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    Ok(maps.lines().filter(|line| line.trim_end_matches(" (deleted)").ends_with(name)).count())
}

/// Another handle of the image at an address, as if some library had opened it; null if there is none.
pub fn open_image(address: usize) -> *mut c_void {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the call accepts any address, and describes the image there; its name is that of a loaded file.
    unsafe {
        libc::dladdr(std::ptr::with_exposed_provenance(address), info.as_mut_ptr());
        let path = CStr::from_ptr(info.assume_init().dli_fname).to_owned();
        libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD)
    }
}

/// Closes what [`open_image`] has opened.
///
/// # Safety
/// The handle must be open; it is given up.
pub unsafe fn close_image(handle: *mut c_void) {
    // SAFETY: as the caller guarantees.
    unsafe { libc::dlclose(handle) };
}
