//! Windows on x86_64, also under Wine.

use std::ffi::c_void;

use relib_harness::probe::Probe;
use relib_harness::{Failure, Platform};
use windows_sys::Win32::Foundation::FreeLibrary;
use windows_sys::Win32::System::LibraryLoader::{GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GetModuleHandleExW};

/// The platform that this code was compiled for.
pub const PLATFORM: Platform = Platform::WindowsX86_64;

/// How many files with this name are mapped, whatever their directories. A staged copy's name ends with that of the
/// original.
///
/// # Errors
/// When the system does not tell.
pub fn mappings_of(name: &str) -> Result<usize, Failure> {
    let probe = Probe::take()?;
    Ok(probe.mapped_files.iter().filter(|path| path.to_string_lossy().ends_with(name)).count())
}

/// Another handle of the image at an address, as if some library had opened it; null if there is none.
pub fn open_image(address: usize) -> *mut c_void {
    let mut handle = std::ptr::null_mut();
    // SAFETY: with this flag the call accepts any address, and stores a handle if it succeeds.
    unsafe {
        GetModuleHandleExW(
            GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
            std::ptr::without_provenance(address),
            &mut handle,
        );
    }
    handle
}

/// Closes what [`open_image`] has opened.
///
/// # Safety
/// The handle must be open; it is given up.
pub unsafe fn close_image(handle: *mut c_void) {
    // SAFETY: as the caller guarantees.
    unsafe { FreeLibrary(handle) };
}
