//! The shims for Windows: what a module imports from kernel32, ntdll, ws2_32 and msvcrt.
//!
//! Each goes on to the original function; the host is told of what a call takes or gives back. Threads get a start
//! function of the host's, and callbacks of fiber-local slots are kept by the host, because the system would call
//! them when the module may be gone.

mod c_memory;
mod slots;
mod told;

use std::ffi::{c_int, c_uint, c_void};

use relib_abi::call::Destructor;
use relib_abi::entry::ThreadMain;

use super::shim::{pass_on, redirects, shims, tell_host};
use crate::allocator;
use crate::context::host;
use c_memory::{freed, is_process_heap, reallocated};
use slots::{for_each_slot, keep_slot, run_thread_callbacks};
use told::{Bool, Handle, file_mapped, library, library_at, mapped, opened, opened_at};

redirects! {
    Always:
        CreateThread _beginthreadex _beginthread
        TlsAlloc TlsFree TlsSetValue FlsAlloc FlsFree FlsSetValue
        VirtualAlloc VirtualFree MapViewOfFile MapViewOfFileEx UnmapViewOfFile CreateFileMappingA CreateFileMappingW
        CreateFileA CreateFileW CreateNamedPipeA CreateNamedPipeW CreatePipe DuplicateHandle CloseHandle
        NtCreateFile NtOpenFile NtCreateNamedPipeFile
        WSASocketA WSASocketW socket accept closesocket
        LoadLibraryA LoadLibraryW LoadLibraryExA LoadLibraryExW GetModuleHandleExA GetModuleHandleExW FreeLibrary
        FreeLibraryAndExitThread;
    CAllocations:
        malloc calloc realloc free _msize _aligned_malloc _aligned_realloc _aligned_free
        HeapAlloc HeapReAlloc HeapFree HeapSize;
}

/// What `TlsAlloc` and `FlsAlloc` return for an error.
const OUT_OF_INDEXES: c_uint = u32::MAX;

/// Starts a thread by `start`, which is given the host's start function and its argument; `failed` is the result that
/// means that no thread was started.
fn start_thread(
    start: ThreadMain,
    argument: *mut c_void,
    failed: usize,
    create: impl FnOnce(ThreadMain, *mut c_void) -> usize,
) -> usize {
    let ticket = tell_host!(thread_announced(start, argument));
    if ticket.is_null() {
        return failed;
    }
    let result = create(host().0.thread_main, ticket);
    if result == failed {
        tell_host!(thread_failed(ticket));
    }
    result
}

/// Runs the destructors of the calling thread, and empties the module's slots on it: should the image stay, the system
/// calls the same functions at the end of the thread once more, which must find nothing.
///
/// The host calls it before the image goes, for each slot that the thread has set to something.
unsafe extern "C" fn finish_thread(_value: *mut c_void) {
    run_thread_callbacks();
    for_each_slot(|slot| {
        // SAFETY: the slot is the module's; what it referred to has been destroyed, or has no destructor.
        unsafe { TlsSetValue::original(slot, std::ptr::null_mut()) };
    });
}

/// Calls a function with what a call of the module's has returned and where it stores a handle.
macro_rules! stored {
    ($function:ident($($argument:expr),*)) => {{
        // SAFETY: a successful call has stored a handle.
        unsafe { $function($($argument),*) }
    }};
}

/// `dwFlags` of the heap functions.
const HEAP_ZERO_MEMORY: c_uint = 8;
const HEAP_REALLOC_IN_PLACE_ONLY: c_uint = 16;

/// What `HeapAlloc` and the `malloc` of the C runtime align to in 64-bit processes.
const MALLOC_ALIGNMENT: usize = 16;

/// `dwFreeType` of `VirtualFree`: the whole reservation.
const MEM_RELEASE: c_uint = 0x8000;
/// `flAllocationType` of `VirtualAlloc`: a new reservation.
const MEM_RESERVE: c_uint = 0x2000;

shims! {
    fn CreateThread(
        security: *const c_void,
        stack: usize,
        start: ThreadMain,
        argument: *mut c_void,
        flags: c_uint,
        id: *mut c_uint,
    ) -> usize {
        // SAFETY: passed on as the module called it, with a start function that calls the module's.
        start_thread(start, argument, 0, |start, argument| unsafe {
            original(security, stack, start, argument, flags, id)
        })
    }

    fn _beginthreadex(
        security: *const c_void,
        stack: c_uint,
        start: ThreadMain,
        argument: *mut c_void,
        flags: c_uint,
        id: *mut c_uint,
    ) -> usize {
        // SAFETY: passed on as the module called it, with a start function that calls the module's.
        start_thread(start, argument, 0, |start, argument| unsafe {
            original(security, stack, start, argument, flags, id)
        })
    }

    // The start function returns nothing; what its register holds is the exit code, which nobody may ask for.
    fn _beginthread(start: ThreadMain, stack: c_uint, argument: *mut c_void) -> usize {
        // SAFETY: passed on as the module called it, with a start function that calls the module's.
        start_thread(start, argument, usize::MAX, |start, argument| unsafe { original(start, stack, argument) })
    }

    fn TlsAlloc() -> c_uint {
        let slot = pass_on!();
        if slot != OUT_OF_INDEXES {
            keep_slot(slot, true);
            tell_host!(slot_allocated(slot, finish_thread));
        }
        slot
    }

    fn TlsFree(slot: c_uint) -> Bool {
        tell_host!(slot_freeing(slot));
        keep_slot(slot, false);
        pass_on!(slot)
    }

    fn TlsSetValue(slot: c_uint, value: *mut c_void) -> Bool {
        let result = pass_on!(slot, value);
        if result != 0 {
            tell_host!(slot_set(slot, !value.is_null()));
        }
        result
    }

    fn FlsAlloc(callback: Option<Destructor>) -> c_uint {
        // SAFETY: passed on as the module called it, without the callback, which the host calls.
        let slot = unsafe { original(None) };
        if slot != OUT_OF_INDEXES {
            tell_host!(fiber_slot_allocated(slot, callback));
        }
        slot
    }

    fn FlsFree(slot: c_uint) -> Bool {
        tell_host!(fiber_slot_freeing(slot));
        pass_on!(slot)
    }

    fn FlsSetValue(slot: c_uint, value: *mut c_void) -> Bool {
        let result = pass_on!(slot, value);
        if result != 0 {
            tell_host!(fiber_slot_set(slot, value));
        }
        result
    }

    fn VirtualAlloc(address: *mut c_void, size: usize, kind: c_uint, protection: c_uint) -> *mut c_void {
        let memory = pass_on!(address, size, kind, protection);
        // Without an address a commitment reserves, too.
        if kind & MEM_RESERVE != 0 || address.is_null() { mapped(memory) } else { memory }
    }

    fn VirtualFree(address: *mut c_void, size: usize, kind: c_uint) -> Bool {
        // Before the call: afterwards another thread may have got the same addresses again.
        if kind & MEM_RELEASE != 0 {
            tell_host!(unmapping(address));
        }
        pass_on!(address, size, kind)
    }

    fn MapViewOfFile(mapping: Handle, access: c_uint, high: c_uint, low: c_uint, size: usize) -> *mut c_void {
        mapped(pass_on!(mapping, access, high, low, size))
    }

    fn MapViewOfFileEx(
        mapping: Handle,
        access: c_uint,
        high: c_uint,
        low: c_uint,
        size: usize,
        address: *mut c_void,
    ) -> *mut c_void {
        mapped(pass_on!(mapping, access, high, low, size, address))
    }

    fn UnmapViewOfFile(address: *mut c_void) -> Bool {
        tell_host!(unmapping(address));
        pass_on!(address)
    }

    fn CreateFileMappingA(
        file: Handle,
        security: *const c_void,
        protection: c_uint,
        high: c_uint,
        low: c_uint,
        name: *const c_void,
    ) -> Handle {
        file_mapped(pass_on!(file, security, protection, high, low, name), file)
    }

    fn CreateFileMappingW(
        file: Handle,
        security: *const c_void,
        protection: c_uint,
        high: c_uint,
        low: c_uint,
        name: *const c_void,
    ) -> Handle {
        file_mapped(pass_on!(file, security, protection, high, low, name), file)
    }

    fn CreateFileA(
        path: *const c_void,
        access: c_uint,
        share: c_uint,
        security: *const c_void,
        disposition: c_uint,
        attributes: c_uint,
        template: Handle,
    ) -> Handle {
        opened(pass_on!(path, access, share, security, disposition, attributes, template))
    }

    fn CreateFileW(
        path: *const c_void,
        access: c_uint,
        share: c_uint,
        security: *const c_void,
        disposition: c_uint,
        attributes: c_uint,
        template: Handle,
    ) -> Handle {
        opened(pass_on!(path, access, share, security, disposition, attributes, template))
    }

    fn CreateNamedPipeA(
        name: *const c_void,
        mode: c_uint,
        kind: c_uint,
        instances: c_uint,
        out_size: c_uint,
        in_size: c_uint,
        timeout: c_uint,
        security: *const c_void,
    ) -> Handle {
        opened(pass_on!(name, mode, kind, instances, out_size, in_size, timeout, security))
    }

    fn CreateNamedPipeW(
        name: *const c_void,
        mode: c_uint,
        kind: c_uint,
        instances: c_uint,
        out_size: c_uint,
        in_size: c_uint,
        timeout: c_uint,
        security: *const c_void,
    ) -> Handle {
        opened(pass_on!(name, mode, kind, instances, out_size, in_size, timeout, security))
    }

    fn CreatePipe(read: *mut Handle, write: *mut Handle, security: *const c_void, size: c_uint) -> Bool {
        let result = pass_on!(read, write, security, size);
        if result != 0 {
            // SAFETY: the call succeeded, so it stored two handles.
            unsafe {
                opened(*read);
                opened(*write);
            }
        }
        result
    }

    fn DuplicateHandle(
        from: Handle,
        handle: Handle,
        to: Handle,
        place: *mut Handle,
        access: c_uint,
        inherit: Bool,
        options: c_uint,
    ) -> Bool {
        const CURRENT_PROCESS: usize = usize::MAX;
        const DUPLICATE_CLOSE_SOURCE: c_uint = 1;
        if from.addr() == CURRENT_PROCESS && options & DUPLICATE_CLOSE_SOURCE != 0 {
            tell_host!(handle_closing(handle));
        }
        let result = pass_on!(from, handle, to, place, access, inherit, options);
        if result != 0 && to.addr() == CURRENT_PROCESS && !place.is_null() {
            // SAFETY: the call succeeded, so it stored a handle of this process.
            opened(unsafe { *place });
        }
        result
    }

    fn CloseHandle(handle: Handle) -> Bool {
        // Before the call: afterwards another thread may have got the same number again.
        tell_host!(handle_closing(handle));
        pass_on!(handle)
    }

    fn NtCreateFile(
        place: *mut Handle,
        access: c_uint,
        object: *const c_void,
        status: *mut c_void,
        size: *const i64,
        attributes: c_uint,
        share: c_uint,
        disposition: c_uint,
        options: c_uint,
        extended: *const c_void,
        extended_len: c_uint,
    ) -> c_int {
        let status = pass_on!(
                place, access, object, status, size, attributes, share, disposition, options, extended,
                extended_len,
            );
        stored!(opened_at(status, place))
    }

    fn NtOpenFile(
        place: *mut Handle,
        access: c_uint,
        object: *const c_void,
        status: *mut c_void,
        share: c_uint,
        options: c_uint,
    ) -> c_int {
        let status = pass_on!(place, access, object, status, share, options);
        stored!(opened_at(status, place))
    }

    fn NtCreateNamedPipeFile(
        place: *mut Handle,
        access: c_uint,
        object: *const c_void,
        status: *mut c_void,
        share: c_uint,
        disposition: c_uint,
        options: c_uint,
        kind: c_uint,
        read_mode: c_uint,
        completion: c_uint,
        instances: c_uint,
        in_size: c_uint,
        out_size: c_uint,
        timeout: *const i64,
    ) -> c_int {
        let status = pass_on!(
                place, access, object, status, share, disposition, options, kind, read_mode, completion,
                instances, in_size, out_size, timeout,
            );
        stored!(opened_at(status, place))
    }

    fn WSASocketA(
        family: c_int,
        kind: c_int,
        protocol: c_int,
        information: *const c_void,
        group: c_uint,
        flags: c_uint,
    ) -> Handle {
        opened(pass_on!(family, kind, protocol, information, group, flags))
    }

    fn WSASocketW(
        family: c_int,
        kind: c_int,
        protocol: c_int,
        information: *const c_void,
        group: c_uint,
        flags: c_uint,
    ) -> Handle {
        opened(pass_on!(family, kind, protocol, information, group, flags))
    }

    fn socket(family: c_int, kind: c_int, protocol: c_int) -> Handle {
        opened(pass_on!(family, kind, protocol))
    }

    fn accept(listener: Handle, address: *mut c_void, len: *mut c_int) -> Handle {
        opened(pass_on!(listener, address, len))
    }

    fn closesocket(handle: Handle) -> c_int {
        tell_host!(handle_closing(handle));
        pass_on!(handle)
    }

    fn LoadLibraryA(path: *const c_void) -> Handle {
        library(pass_on!(path))
    }

    fn LoadLibraryW(path: *const c_void) -> Handle {
        library(pass_on!(path))
    }

    fn LoadLibraryExA(path: *const c_void, file: Handle, flags: c_uint) -> Handle {
        library(pass_on!(path, file, flags))
    }

    fn LoadLibraryExW(path: *const c_void, file: Handle, flags: c_uint) -> Handle {
        library(pass_on!(path, file, flags))
    }

    fn GetModuleHandleExA(flags: c_uint, name: *const c_void, place: *mut Handle) -> Bool {
        let result = pass_on!(flags, name, place);
        stored!(library_at(result, flags, place))
    }

    fn GetModuleHandleExW(flags: c_uint, name: *const c_void, place: *mut Handle) -> Bool {
        let result = pass_on!(flags, name, place);
        stored!(library_at(result, flags, place))
    }

    fn FreeLibrary(handle: Handle) -> Bool {
        tell_host!(library_closing(handle));
        pass_on!(handle)
    }

    fn FreeLibraryAndExitThread(handle: Handle, code: c_uint) -> () {
        tell_host!(library_closing(handle));
        // SAFETY: passed on as the module called it. The call does not return, so that it does not matter to whom it
        // would.
        unsafe { original(handle, code) }
    }

    fn malloc(size: usize) -> *mut c_void {
        allocator::allocate(size, MALLOC_ALIGNMENT)
    }

    fn calloc(count: usize, size: usize) -> *mut c_void {
        match count.checked_mul(size) {
            Some(size) => allocator::allocate_zeroed(size),
            None => std::ptr::null_mut(),
        }
    }

    fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: the module has the block resized, and the original gets those of the C runtime.
        unsafe { reallocated(block, size, MALLOC_ALIGNMENT, || original(block, size)) }
    }

    fn free(block: *mut c_void) -> () {
        // SAFETY: the module gives the block up, and the original gets those of the C runtime.
        unsafe { freed(block, || original(block)) }
    }

    fn _msize(block: *mut c_void) -> usize {
        if tell_host!(heap_owns(block)) {
            tell_host!(heap_usable_size(block))
        } else {
            pass_on!(block)
        }
    }

    fn _aligned_malloc(size: usize, align: usize) -> *mut c_void {
        if align.is_power_of_two() { allocator::allocate(size, align) } else { std::ptr::null_mut() }
    }

    fn _aligned_realloc(block: *mut c_void, size: usize, align: usize) -> *mut c_void {
        if !align.is_power_of_two() {
            return std::ptr::null_mut();
        }
        // SAFETY: the module has the block resized, and the original gets those of the C runtime.
        unsafe { reallocated(block, size, align, || original(block, size, align)) }
    }

    fn _aligned_free(block: *mut c_void) -> () {
        // SAFETY: the module gives the block up, and the original gets those of the C runtime.
        unsafe { freed(block, || original(block)) }
    }

    fn HeapAlloc(heap: Handle, flags: c_uint, size: usize) -> *mut c_void {
        if !is_process_heap(heap) {
            pass_on!(heap, flags, size)
        } else if flags & HEAP_ZERO_MEMORY != 0 {
            allocator::allocate_zeroed(size)
        } else {
            allocator::allocate(size, MALLOC_ALIGNMENT)
        }
    }

    fn HeapReAlloc(heap: Handle, flags: c_uint, block: *mut c_void, size: usize) -> *mut c_void {
        if !tell_host!(heap_owns(block)) {
            // SAFETY: passed on as the module called it, for a block that the system allocated.
            return unsafe { original(heap, flags, block, size) };
        }
        let old_size = tell_host!(heap_usable_size(block));
        if flags & HEAP_REALLOC_IN_PLACE_ONLY != 0 {
            return if size <= old_size { block } else { std::ptr::null_mut() };
        }
        // SAFETY: the host says that the block is the heap's; the module gives it up.
        let moved = unsafe { allocator::reallocate(block, size, MALLOC_ALIGNMENT) };
        if flags & HEAP_ZERO_MEMORY != 0 && !moved.is_null() && size > old_size {
            // SAFETY: the block has `size` bytes now, of which the first `old_size` were copied.
            unsafe { moved.byte_add(old_size).cast::<u8>().write_bytes(0, size - old_size) };
        }
        moved
    }

    fn HeapFree(heap: Handle, flags: c_uint, block: *mut c_void) -> Bool {
        if !block.is_null() && tell_host!(heap_owns(block)) {
            // SAFETY: the host says that the block is the heap's; the module gives it up.
            unsafe { allocator::free(block) };
            return 1;
        }
        // SAFETY: passed on as the module called it, for a block that the system allocated.
        unsafe { original(heap, flags, block) }
    }

    fn HeapSize(heap: Handle, flags: c_uint, block: *mut c_void) -> usize {
        if tell_host!(heap_owns(block)) {
            return tell_host!(heap_usable_size(block));
        }
        // SAFETY: passed on as the module called it, for a block that the system allocated.
        unsafe { original(heap, flags, block) }
    }
}
