//! Linux with glibc.

use std::ffi::{CStr, CString, c_void};
use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use super::Destructor;

pub fn new_key(destructor: Option<Destructor>) -> Option<u32> {
    let mut key = 0;
    // SAFETY: the call writes to `key`.
    (unsafe { libc::pthread_key_create(&mut key, destructor) } == 0).then_some(key)
}

pub fn set_key(key: u32, value: *const c_void) {
    // SAFETY: the call checks the key.
    assert_eq!(unsafe { libc::pthread_setspecific(key, value) }, 0, "the key should exist");
}

pub fn key_value(key: u32) -> *mut c_void {
    // SAFETY: the call checks the key.
    unsafe { libc::pthread_getspecific(key) }
}

pub fn delete_key(key: u32) {
    // SAFETY: the call checks the key.
    unsafe { libc::pthread_key_delete(key) };
}

pub fn map(len: usize) -> *mut u8 {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new private mapping wherever there is room.
    let mapped = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
    if mapped == libc::MAP_FAILED { std::ptr::null_mut() } else { mapped.cast() }
}

pub unsafe fn unmap(address: *mut u8, len: usize) {
    // SAFETY: as the caller guarantees.
    unsafe { libc::munmap(address.cast(), len) };
}

pub fn open_image_at(address: *const c_void) -> *mut c_void {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the call accepts any address; if it describes an image, its name is that of the image's file.
    unsafe {
        if libc::dladdr(address, info.as_mut_ptr()) == 0 {
            return std::ptr::null_mut();
        }
        let path = CStr::from_ptr(info.assume_init().dli_fname);
        libc::dlopen(path.as_ptr(), libc::RTLD_NOW)
    }
}

pub fn open_library(path: &str) -> *mut c_void {
    let path = CString::new(path).expect("a path has no zero byte");
    // SAFETY: the library is one of the fixtures, whose constructors may run anywhere.
    unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) }
}

pub unsafe fn function_of(library: *mut c_void, name: &CStr) -> *const c_void {
    // SAFETY: as the caller guarantees.
    unsafe { libc::dlsym(library, name.as_ptr()) }
}

pub unsafe fn close_image(handle: *mut c_void) {
    // SAFETY: as the caller guarantees.
    unsafe { libc::dlclose(handle) };
}

/// Something of each kind that has a descriptor.
pub struct Opened {
    file: File,
    socket: UnixDatagram,
    pipe: (PipeReader, PipeWriter),
    epoll: OwnedFd,
}

impl Opened {
    /// Opens a file, and everything else.
    pub fn new(file: &str) -> std::io::Result<Self> {
        Ok(Self {
            file: File::open(file)?,
            socket: UnixDatagram::unbound()?,
            pipe: std::io::pipe()?,
            // SAFETY: the call returns a new descriptor, or an error, which no fixture provokes.
            epoll: unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) },
        })
    }

    /// The numbers of the descriptors.
    pub fn numbers(&self) -> Vec<i32> {
        let (reader, writer) = &self.pipe;
        vec![
            self.file.as_raw_fd(),
            self.socket.as_raw_fd(),
            reader.as_raw_fd(),
            writer.as_raw_fd(),
            self.epoll.as_raw_fd(),
        ]
    }
}

pub fn open_for_good(file: &str) -> std::io::Result<i32> {
    Ok(File::open(file)?.into_raw_fd())
}

pub fn redirect_and_restore(number: i32, file: &str) -> std::io::Result<()> {
    let other = File::open(file)?;
    // SAFETY: the calls change what the numbers refer to, as the caller wants it.
    unsafe {
        let saved = libc::dup(number);
        libc::dup2(other.as_raw_fd(), number);
        libc::dup2(saved, number);
        libc::close(saved);
    }
    Ok(())
}
