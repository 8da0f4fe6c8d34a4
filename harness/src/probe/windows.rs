//! The probe on Windows: the lists of threads, handles and mapped files, thread-local slots, the working set.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::path::PathBuf;

use windows_sys::Win32::Foundation::{CloseHandle, HANDLE, INVALID_HANDLE_VALUE, LocalFree};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_TYPE_CHAR, FILE_TYPE_DISK, FILE_TYPE_PIPE, GetFileType, GetFinalPathNameByHandleW,
};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
};
use windows_sys::Win32::System::Memory::{
    GetProcessHeaps, HeapLock, HeapUnlock, HeapWalk, MEM_FREE, MEM_IMAGE, MEM_MAPPED,
    MEMORY_BASIC_INFORMATION, PROCESS_HEAP_ENTRY, VirtualQuery,
};
use windows_sys::Win32::System::ProcessStatus::{
    K32GetMappedFileNameW, K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS,
};
use windows_sys::Win32::System::SystemServices::PROCESS_HEAP_ENTRY_BUSY;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentProcessId, GetCurrentThreadId, GetProcessHandleCount, GetThreadDescription,
    OpenThread, THREAD_QUERY_LIMITED_INFORMATION, TLS_OUT_OF_INDEXES, TlsAlloc, TlsFree,
};

use super::descriptor::Descriptor;

/// Nothing of Windows' heaps is set by a variable.
pub const ENVIRONMENT: &[(&str, &str)] = &[];

/// What Wine calls the threads of the system's pool, which come and go as it sees fit, and end when they have been idle
/// for seconds.
const POOL_THREAD: &str = "wine_threadpool_worker";

/// Number and name of every thread of the process, but for those of the system's pool.
pub fn threads() -> io::Result<BTreeMap<i32, String>> {
    let mut threads = BTreeMap::new();
    // SAFETY: the entry says how large it is, and the snapshot is closed at the end.
    unsafe {
        let snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
        if snapshot == INVALID_HANDLE_VALUE {
            return Err(io::Error::last_os_error());
        }
        let mut entry: THREADENTRY32 = std::mem::zeroed();
        entry.dwSize = size_of::<THREADENTRY32>() as u32;
        let mut more = Thread32First(snapshot, &mut entry) != 0;
        while more {
            if entry.th32OwnerProcessID == GetCurrentProcessId() {
                let name = thread_name(entry.th32ThreadID);
                if name != POOL_THREAD {
                    threads.insert(entry.th32ThreadID as i32, name);
                }
            }
            more = Thread32Next(snapshot, &mut entry) != 0;
        }
        CloseHandle(snapshot);
    }
    Ok(threads)
}

/// The number of the calling thread.
pub fn current_thread() -> i32 {
    // SAFETY: the function has no preconditions.
    unsafe { GetCurrentThreadId() as i32 }
}

fn thread_name(id: u32) -> String {
    // SAFETY: the calls check the number; the handle is closed, and the text, which ends with a zero, is freed.
    unsafe {
        let thread = OpenThread(THREAD_QUERY_LIMITED_INFORMATION, 0, id);
        if thread.is_null() {
            return String::new();
        }
        let mut text = std::ptr::null_mut();
        let mut name = String::new();
        if GetThreadDescription(thread, &mut text) >= 0 && !text.is_null() {
            let len = (0..).take_while(|index| *text.add(*index) != 0).count();
            name = String::from_utf16_lossy(std::slice::from_raw_parts(text, len));
            LocalFree(text.cast());
        }
        CloseHandle(thread);
        name
    }
}

/// The open handles of files, pipes, sockets and devices. Handles are multiples of four, given out from below.
pub fn descriptors() -> io::Result<Vec<Descriptor>> {
    const LAST: i32 = 0x4000;
    let mut left = 0;
    // SAFETY: the call stores a number.
    if unsafe { GetProcessHandleCount(GetCurrentProcess(), &mut left) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let mut descriptors = Vec::new();
    for number in (4..LAST).step_by(4) {
        let handle: HANDLE = std::ptr::without_provenance_mut(number as usize);
        // SAFETY: the call accepts any handle.
        let target = match unsafe { GetFileType(handle) } {
            FILE_TYPE_DISK => final_path(handle),
            FILE_TYPE_PIPE => "pipe:".to_owned(),
            FILE_TYPE_CHAR => "device:".to_owned(),
            _ => continue,
        };
        descriptors.push(Descriptor { number, target });
    }
    Ok(descriptors)
}

fn final_path(handle: HANDLE) -> String {
    let mut path = [0_u16; 1024];
    // SAFETY: the call stores at most as many units as it is told there is room for.
    let len = unsafe { GetFinalPathNameByHandleW(handle, path.as_mut_ptr(), path.len() as u32, 0) } as usize;
    unix_path(&String::from_utf16_lossy(path.get(..len).unwrap_or_default()))
}

/// As Linux has it, for paths on the drive that Wine gives to the root.
fn unix_path(path: &str) -> String {
    let path = path.strip_prefix(r"\\?\").unwrap_or(path);
    let path = path.strip_prefix(r"\??\").unwrap_or(path);
    path.strip_prefix("Z:").unwrap_or(path).replace('\\', "/")
}

/// The files that are mapped, and the number of all mappings.
pub fn mappings() -> io::Result<(BTreeSet<PathBuf>, usize)> {
    let mut files = BTreeSet::new();
    let mut count = 0;
    let mut address = 0_usize;
    let mut region = MaybeUninit::<MEMORY_BASIC_INFORMATION>::zeroed();
    loop {
        let start: *const c_void = std::ptr::without_provenance(address);
        // SAFETY: the call accepts any address, and stores a description of which zero bytes are a valid one.
        let region = unsafe {
            if VirtualQuery(start, region.as_mut_ptr(), size_of::<MEMORY_BASIC_INFORMATION>()) == 0 {
                return Ok((files, count));
            }
            region.assume_init()
        };
        count += usize::from(region.State != MEM_FREE);
        if matches!(region.Type, MEM_IMAGE | MEM_MAPPED) && region.State != MEM_FREE {
            let mut path = [0_u16; 1024];
            // SAFETY: the call stores at most as many units as it is told there is room for.
            let len = unsafe {
                K32GetMappedFileNameW(GetCurrentProcess(), start, path.as_mut_ptr(), path.len() as u32)
            } as usize;
            if len > 0 {
                files.insert(PathBuf::from(unix_path(&String::from_utf16_lossy(&path[..len]))));
            }
        }
        match address.checked_add(region.RegionSize.max(0x1000)) {
            Some(next) => address = next,
            None => return Ok((files, count)),
        }
    }
}

/// std takes a slot for each thread-local object of the host's when it is used for the first time, which many are in the
/// middle of a scenario. What leaks more than once is found by repeating it.
pub const KEY_TOLERANCE: usize = 16;

/// How many thread-local slots can be allocated now: they stand for the keys of POSIX.
pub fn free_pthread_keys() -> usize {
    let mut slots = Vec::with_capacity(2048);
    // SAFETY: the functions have no preconditions; each slot is freed, and nobody else knows it.
    unsafe {
        loop {
            match TlsAlloc() {
                TLS_OUT_OF_INDEXES => break,
                slot => slots.push(slot),
            }
        }
        slots.iter().for_each(|slot| _ = TlsFree(*slot));
    }
    slots.len()
}

/// The bytes in use on the heaps of the system and of the C runtime.
fn heap_bytes() -> u64 {
    let mut heaps = [std::ptr::null_mut(); 64];
    // SAFETY: the call stores at most as many handles as there is room for.
    let count = unsafe { GetProcessHeaps(heaps.len() as u32, heaps.as_mut_ptr()) } as usize;
    let mut bytes = 0;
    for heap in &heaps[..count.min(heaps.len())] {
        // SAFETY: the heap is one of the process's and locked meanwhile; the entry begins as zeros, as the first call
        // expects, and is passed on from call to call.
        unsafe {
            let mut entry: PROCESS_HEAP_ENTRY = std::mem::zeroed();
            HeapLock(*heap);
            while HeapWalk(*heap, &mut entry) != 0 {
                if u32::from(entry.wFlags) & PROCESS_HEAP_ENTRY_BUSY != 0 {
                    bytes += u64::from(entry.cbData);
                }
            }
            HeapUnlock(*heap);
        }
    }
    bytes
}

/// The bytes in use on the heap and the working set.
pub fn memory() -> io::Result<(u64, u64)> {
    let mut counters = MaybeUninit::<PROCESS_MEMORY_COUNTERS>::zeroed();
    let size = size_of::<PROCESS_MEMORY_COUNTERS>() as u32;
    // SAFETY: the call stores at most as many bytes as it is told there is room for, and zero bytes are valid.
    unsafe {
        if K32GetProcessMemoryInfo(GetCurrentProcess(), counters.as_mut_ptr(), size) == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((heap_bytes(), counters.assume_init().WorkingSetSize as u64))
    }
}

/// Nothing is to be done here for the working set to show what is in use.
pub fn settle_memory() -> io::Result<()> {
    Ok(())
}
