//! Windows on x86_64.

use std::ffi::{CStr, c_void};
use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::net::UdpSocket;
use std::os::windows::io::{AsRawHandle, AsRawSocket, BorrowedHandle, IntoRawHandle, RawHandle};

use windows_sys::Win32::Foundation::FreeLibrary;
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GetModuleHandleExW, GetProcAddress, LoadLibraryW,
};
use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_READWRITE, VirtualAlloc, VirtualFree,
};
use windows_sys::Win32::System::Threading::{
    FLS_OUT_OF_INDEXES, FlsAlloc, FlsFree, FlsGetValue, FlsSetValue,
};

use super::Destructor;

pub fn new_key(destructor: Option<Destructor>) -> Option<u32> {
    // SAFETY: on this machine both function types are called in the same way, and differ in how a pointer is spelt.
    let callback = unsafe {
        std::mem::transmute::<Option<Destructor>, Option<unsafe extern "system" fn(*const c_void)>>(
            destructor,
        )
    };
    // SAFETY: the callback is called with values that the fixture has set.
    let slot = unsafe { FlsAlloc(callback) };
    (slot != FLS_OUT_OF_INDEXES).then_some(slot)
}

pub fn set_key(key: u32, value: *const c_void) {
    // SAFETY: the call checks the slot.
    assert_ne!(unsafe { FlsSetValue(key, value) }, 0, "the slot should exist");
}

pub fn key_value(key: u32) -> *mut c_void {
    // SAFETY: the call checks the slot.
    unsafe { FlsGetValue(key) }
}

pub fn delete_key(key: u32) {
    // SAFETY: the call checks the slot.
    unsafe { FlsFree(key) };
}

pub fn map(len: usize) -> *mut u8 {
    // SAFETY: a new reservation wherever there is room.
    unsafe { VirtualAlloc(std::ptr::null(), len, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE) }.cast()
}

pub unsafe fn unmap(address: *mut u8, _len: usize) {
    // SAFETY: as the caller guarantees.
    unsafe { VirtualFree(address.cast(), 0, MEM_RELEASE) };
}

pub fn open_image_at(address: *const c_void) -> *mut c_void {
    let mut handle = std::ptr::null_mut();
    // SAFETY: with this flag the call accepts any address, and stores a handle if it succeeds.
    unsafe { GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, address.cast(), &mut handle) };
    handle
}

pub fn open_library(path: &str) -> *mut c_void {
    let path: Vec<u16> = path.encode_utf16().chain([0]).collect();
    // SAFETY: the library is one of the fixtures, whose constructors may run anywhere.
    unsafe { LoadLibraryW(path.as_ptr()) }
}

pub unsafe fn function_of(library: *mut c_void, name: &CStr) -> *const c_void {
    // SAFETY: as the caller guarantees.
    let function = unsafe { GetProcAddress(library, name.as_ptr().cast()) };
    function.map_or(std::ptr::null(), |function| function as *const c_void)
}

pub unsafe fn close_image(handle: *mut c_void) {
    // SAFETY: as the caller guarantees.
    unsafe { FreeLibrary(handle) };
}

/// Something of each kind that has a handle.
pub struct Opened {
    file: File,
    socket: UdpSocket,
    pipe: (PipeReader, PipeWriter),
}

impl Opened {
    /// Opens a file, and everything else.
    pub fn new(file: &str) -> std::io::Result<Self> {
        Ok(Self {
            file: File::open(file)?,
            socket: UdpSocket::bind(("127.0.0.1", 0))?,
            pipe: std::io::pipe()?,
        })
    }

    /// The numbers of the handles.
    pub fn numbers(&self) -> Vec<i32> {
        let (reader, writer) = &self.pipe;
        let handles = [self.file.as_raw_handle(), reader.as_raw_handle(), writer.as_raw_handle()];
        let numbers = handles.map(|handle| handle.addr() as i32);
        numbers.into_iter().chain([self.socket.as_raw_socket() as i32]).collect()
    }
}

pub fn open_for_good(file: &str) -> std::io::Result<i32> {
    Ok(File::open(file)?.into_raw_handle().addr() as i32)
}

/// A handle always refers to the same: it is only borrowed for a while.
pub fn redirect_and_restore(number: i32, file: &str) -> std::io::Result<()> {
    drop(File::open(file)?);
    let handle: RawHandle = std::ptr::without_provenance_mut(number as isize as usize);
    // SAFETY: the caller's handle stays open during the call.
    drop(unsafe { BorrowedHandle::borrow_raw(handle) }.try_clone_to_owned()?);
    Ok(())
}
