//! What fixtures ask the operating system for, so that they are the same on each: one file per platform, picked here.
//!
//! It is compiled into each module, so that its calls are imports of the module like any others.

use std::ffi::{CStr, c_void};

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod imp;

#[cfg(windows)]
#[path = "windows.rs"]
mod imp;

/// What becomes of a value under a key at the end of a thread.
pub type Destructor = unsafe extern "C" fn(*mut c_void);

/// A place for one value per thread, with a destructor: a key of POSIX threads, a fiber-local slot of Windows.
#[derive(Clone, Copy)]
pub struct Key(u32);

impl Key {
    /// A new key.
    ///
    /// # Panics
    /// When there is none left.
    pub fn new(destructor: Option<Destructor>) -> Self {
        Self(imp::new_key(destructor).expect("there should be a free key"))
    }

    /// Sets the calling thread's value.
    pub fn set(self, value: *const c_void) {
        imp::set_key(self.0, value);
    }

    /// The calling thread's value.
    pub fn get(self) -> *mut c_void {
        imp::key_value(self.0)
    }

    /// Gives the key back, which must not be used any more.
    pub fn delete(self) {
        imp::delete_key(self.0);
    }
}

/// Memory of the system's, zeroed, as if there were no allocator.
///
/// # Panics
/// When there is none left.
pub fn map(len: usize) -> *mut u8 {
    let mapped = imp::map(len);
    assert!(!mapped.is_null(), "there should be memory");
    mapped
}

/// Gives back the whole of what [`map`] has returned.
///
/// # Safety
/// Nothing may use it any more.
pub unsafe fn unmap(address: *mut u8, len: usize) {
    // SAFETY: nothing uses it any more, says the caller.
    unsafe { imp::unmap(address, len) };
}

pub use imp::Opened;

/// Opens a file and gives its descriptor or handle away.
///
/// # Errors
/// When it cannot be opened.
pub fn open_for_good(file: &str) -> std::io::Result<i32> {
    imp::open_for_good(file)
}

/// Makes a descriptor refer to a file for a while, and then to the same as before.
///
/// # Errors
/// When the file cannot be opened.
pub fn redirect_and_restore(number: i32, file: &str) -> std::io::Result<()> {
    imp::redirect_and_restore(number, file)
}

/// Another handle of the image at an address.
///
/// # Panics
/// When there is no image.
pub fn open_image_at(address: *const c_void) -> *mut c_void {
    let handle = imp::open_image_at(address);
    assert!(!handle.is_null(), "there should be an image");
    handle
}

/// Closes what [`open_image_at`] has returned.
///
/// # Safety
/// The handle must be open; it is given up.
pub unsafe fn close_image(handle: *mut c_void) {
    // SAFETY: the handle is open and given up, says the caller.
    unsafe { imp::close_image(handle) };
}

/// Opens a library by its path.
///
/// # Panics
/// When it cannot be opened.
pub fn open_library(path: &str) -> *mut c_void {
    let handle = imp::open_library(path);
    assert!(!handle.is_null(), "{path} should be a library");
    handle
}

/// The address of a function that a library exports.
///
/// # Panics
/// When there is none of this name.
///
/// # Safety
/// The handle must be open.
pub unsafe fn function_of(library: *mut c_void, name: &CStr) -> *const c_void {
    // SAFETY: as the caller guarantees.
    let function = unsafe { imp::function_of(library, name) };
    assert!(!function.is_null(), "the library should have {name:?}");
    function
}

/// Has a function called when the image goes.
///
/// # Safety
/// It must be callable until then.
pub unsafe fn at_exit(function: extern "C" fn()) {
    unsafe extern "C" {
        fn atexit(function: extern "C" fn()) -> std::ffi::c_int;
    }
    // SAFETY: as the caller guarantees.
    assert_eq!(unsafe { atexit(function) }, 0, "there should be memory");
}

/// Has a function called when the image goes, by the list of the image's own destructors, which only ELF files have.
#[cfg(target_os = "linux")]
#[macro_export]
macro_rules! destructor {
    ($function:path) => {
        #[used]
        #[unsafe(link_section = ".fini_array")]
        static DESTRUCTOR: extern "C" fn() = $function;
    };
}

/// Has a function called when the image has been mapped.
#[macro_export]
macro_rules! constructor {
    ($function:path) => {
        #[used]
        #[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
        #[cfg_attr(windows, unsafe(link_section = ".CRT$XCU"))]
        static CONSTRUCTOR: extern "C" fn() = $function;
    };
}
