//! The shims for Linux: what a module imports from glibc (glibc manual; Itanium C++ ABI for the destructors).
//!
//! Either the host takes a call over, or the shim goes on to the original function and tells the host of the result.

use std::ffi::{c_char, c_int, c_uint, c_void};

use relib_abi::call::Destructor;
use relib_abi::entry::ThreadStart;

use super::shim::{pass_on, redirects, shims, tell_host};
use crate::allocator;

redirects! {
    Always:
        __cxa_thread_atexit_impl __cxa_thread_atexit
        pthread_create pthread_key_create pthread_key_delete pthread_setspecific
        thrd_create tss_create tss_delete tss_set
        mmap mmap64 munmap mremap
        open open64 openat openat64 creat creat64 socket accept accept4 dup dup2 dup3 fcntl fcntl64
        eventfd epoll_create epoll_create1 timerfd_create signalfd inotify_init inotify_init1 memfd_create
        pipe pipe2 socketpair close
        sigaction signal
        dlopen dlclose;
    CAllocations:
        malloc calloc realloc reallocarray free posix_memalign aligned_alloc memalign malloc_usable_size;
}

/// Passes on a descriptor that a call has returned.
fn opened(descriptor: c_int) -> c_int {
    if descriptor >= 0 {
        tell_host!(descriptor_opened(descriptor));
    }
    descriptor
}

/// Defines shims for functions that return a descriptor.
macro_rules! opening_shims {
    ($(fn $name:ident($($argument:ident: $ty:ty),*);)*) => {
        shims! {$(
            fn $name($($argument: $ty),*) -> c_int {
                opened(pass_on!($($argument),*))
            }
        )*}
    };
}

/// Passes on a descriptor that a call has made at the number `target`, unless one of the host's was there: then the new
/// one is the host's as well, which the module may also have put back.
fn opened_over(target: c_int, call: impl FnOnce() -> c_int) -> c_int {
    if tell_host!(descriptor_foreign(target)) { call() } else { opened(call()) }
}

/// Passes on the two descriptors that a successful call has stored.
///
/// # Safety
/// If `result` is zero, `pair` must point to two descriptors.
unsafe fn opened_pair(result: c_int, pair: *const c_int) -> c_int {
    if result == 0 {
        // SAFETY: the call succeeded, so it stored two descriptors.
        let pair = unsafe { *pair.cast::<[c_int; 2]>() };
        pair.into_iter().for_each(|descriptor| _ = opened(descriptor));
    }
    result
}

/// Passes on a mapping that a call has made.
fn mapped(address: *mut c_void, len: usize) -> *mut c_void {
    if address.addr() != MAP_FAILED {
        tell_host!(mapped(address, len));
    }
    address
}

/// What `mmap` and `mremap` return for an error.
const MAP_FAILED: usize = usize::MAX;

/// `fcntl` commands that make a descriptor.
const F_DUPFD: c_int = 0;
const F_DUPFD_CLOEXEC: c_int = 1030;

/// What the allocation functions report (`errno.h`).
const EINVAL: c_int = 22;
const ENOMEM: c_int = 12;

/// Resizes a block of C code's: by `original` if it came from the C library, and by the module's heap otherwise. `None` is
/// a size that no block can have.
///
/// # Safety
/// The block must be null or one that the module may resize, and is given up unless null is returned.
unsafe fn reallocated(
    block: *mut c_void,
    size: Option<usize>,
    original: impl FnOnce() -> *mut c_void,
) -> *mut c_void {
    if !block.is_null() && !tell_host!(heap_owns(block)) {
        return original();
    }
    match size {
        None => std::ptr::null_mut(),
        Some(size) if block.is_null() => allocator::allocate(size, MALLOC_ALIGNMENT),
        // SAFETY: the host says that the block is the heap's; the module gives it up.
        Some(size) => unsafe { allocator::reallocate(block, size, MALLOC_ALIGNMENT) },
    }
}

/// What C11 functions return for an error of their POSIX counterparts (`threads.h`).
fn c11_result(error: c_int) -> c_int {
    const THRD_SUCCESS: c_int = 0;
    const THRD_ERROR: c_int = 2;
    const THRD_NOMEM: c_int = 3;
    match error {
        0 => THRD_SUCCESS,
        ENOMEM => THRD_NOMEM,
        _ => THRD_ERROR,
    }
}

opening_shims! {
    // `open` and its relatives are variadic; on x86_64 the mode is in the same register whether it was passed or not.
    fn open(path: *const c_char, flags: c_int, mode: c_uint);
    fn open64(path: *const c_char, flags: c_int, mode: c_uint);
    fn openat(directory: c_int, path: *const c_char, flags: c_int, mode: c_uint);
    fn openat64(directory: c_int, path: *const c_char, flags: c_int, mode: c_uint);
    fn creat(path: *const c_char, mode: c_uint);
    fn creat64(path: *const c_char, mode: c_uint);
    fn socket(domain: c_int, kind: c_int, protocol: c_int);
    fn accept(listener: c_int, address: *mut c_void, len: *mut c_void);
    fn accept4(listener: c_int, address: *mut c_void, len: *mut c_void, flags: c_int);
    fn dup(descriptor: c_int);
    fn eventfd(initial: c_uint, flags: c_int);
    fn epoll_create(size: c_int);
    fn epoll_create1(flags: c_int);
    fn timerfd_create(clock: c_int, flags: c_int);
    fn signalfd(descriptor: c_int, mask: *const c_void, flags: c_int);
    fn inotify_init();
    fn inotify_init1(flags: c_int);
    fn memfd_create(name: *const c_char, flags: c_uint);
}

shims! {
    fn __cxa_thread_atexit_impl(destructor: Destructor, object: *mut c_void, _image: *mut c_void) -> c_int {
        tell_host!(thread_atexit(destructor, object))
    }

    fn __cxa_thread_atexit(destructor: Destructor, object: *mut c_void, _image: *mut c_void) -> c_int {
        tell_host!(thread_atexit(destructor, object))
    }

    fn pthread_create(
        thread: *mut c_void,
        attributes: *const c_void,
        start: ThreadStart,
        argument: *mut c_void,
    ) -> c_int {
        tell_host!(thread_create(thread, attributes, start, argument))
    }

    fn pthread_key_create(key: *mut c_uint, destructor: Option<Destructor>) -> c_int {
        tell_host!(key_create(key, destructor))
    }

    fn pthread_key_delete(key: c_uint) -> c_int {
        tell_host!(key_delete(key))
    }

    fn pthread_setspecific(key: c_uint, value: *const c_void) -> c_int {
        tell_host!(key_set(key, value))
    }

    // The C11 names: glibc implements them by its own functions of the above, which are not the module's imports.

    // The thread's `int` is the lower half of the register that the trampoline passes on, and `thrd_join` takes that half.
    fn thrd_create(thread: *mut c_void, start: ThreadStart, argument: *mut c_void) -> c_int {
        c11_result(tell_host!(thread_create(thread, std::ptr::null(), start, argument)))
    }

    fn tss_create(key: *mut c_uint, destructor: Option<Destructor>) -> c_int {
        c11_result(tell_host!(key_create(key, destructor)))
    }

    fn tss_delete(key: c_uint) -> () {
        tell_host!(key_delete(key));
    }

    fn tss_set(key: c_uint, value: *const c_void) -> c_int {
        c11_result(tell_host!(key_set(key, value)))
    }

    fn mmap(
        address: *mut c_void,
        len: usize,
        protection: c_int,
        flags: c_int,
        descriptor: c_int,
        offset: i64,
    ) -> *mut c_void {
        mapped(pass_on!(address, len, protection, flags, descriptor, offset), len)
    }

    fn mmap64(
        address: *mut c_void,
        len: usize,
        protection: c_int,
        flags: c_int,
        descriptor: c_int,
        offset: i64,
    ) -> *mut c_void {
        mapped(pass_on!(address, len, protection, flags, descriptor, offset), len)
    }

    fn munmap(address: *mut c_void, len: usize) -> c_int {
        // Before the call: afterwards another thread may have mapped the same range again.
        tell_host!(unmapped(address, len));
        pass_on!(address, len)
    }

    // The fifth argument only counts with MREMAP_FIXED; the variadic call passes it in the same register.
    fn mremap(address: *mut c_void, len: usize, new_len: usize, flags: c_int, place: *mut c_void) -> *mut c_void {
        let moved = pass_on!(address, len, new_len, flags, place);
        if moved.addr() != MAP_FAILED {
            tell_host!(unmapped(address, len));
        }
        mapped(moved, new_len)
    }

    fn dup2(descriptor: c_int, target: c_int) -> c_int {
        opened_over(target, || pass_on!(descriptor, target))
    }

    fn dup3(descriptor: c_int, target: c_int, flags: c_int) -> c_int {
        opened_over(target, || pass_on!(descriptor, target, flags))
    }

    fn fcntl(descriptor: c_int, command: c_int, argument: usize) -> c_int {
        let result = pass_on!(descriptor, command, argument);
        if matches!(command, F_DUPFD | F_DUPFD_CLOEXEC) { opened(result) } else { result }
    }

    fn fcntl64(descriptor: c_int, command: c_int, argument: usize) -> c_int {
        let result = pass_on!(descriptor, command, argument);
        if matches!(command, F_DUPFD | F_DUPFD_CLOEXEC) { opened(result) } else { result }
    }

    fn pipe(pair: *mut c_int) -> c_int {
        // SAFETY: passed on as the module called it; a successful call stores two descriptors.
        unsafe { opened_pair(original(pair), pair) }
    }

    fn pipe2(pair: *mut c_int, flags: c_int) -> c_int {
        // SAFETY: passed on as the module called it; a successful call stores two descriptors.
        unsafe { opened_pair(original(pair, flags), pair) }
    }

    fn socketpair(domain: c_int, kind: c_int, protocol: c_int, pair: *mut c_int) -> c_int {
        // SAFETY: passed on as the module called it; a successful call stores two descriptors.
        unsafe { opened_pair(original(domain, kind, protocol, pair), pair) }
    }

    fn close(descriptor: c_int) -> c_int {
        // Before the call: afterwards another thread may have got the same number again.
        tell_host!(descriptor_closing(descriptor));
        pass_on!(descriptor)
    }

    fn sigaction(signal: c_int, action: *const c_void, previous: *mut c_void) -> c_int {
        let result = pass_on!(signal, action, previous);
        if result == 0 && !action.is_null() {
            tell_host!(signal_changed(signal));
        }
        result
    }

    fn signal(signal: c_int, handler: *const c_void) -> *const c_void {
        let previous = pass_on!(signal, handler);
        tell_host!(signal_changed(signal));
        previous
    }

    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void {
        let handle = pass_on!(path, flags);
        if !handle.is_null() {
            tell_host!(library_opened(handle));
        }
        handle
    }

    fn dlclose(handle: *mut c_void) -> c_int {
        tell_host!(library_closing(handle));
        pass_on!(handle)
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
        // SAFETY: passed on as the module called it; the original is reached for blocks of the C library only.
        unsafe { reallocated(block, Some(size), || original(block, size)) }
    }

    fn reallocarray(block: *mut c_void, count: usize, size: usize) -> *mut c_void {
        // SAFETY: passed on as the module called it; the original is reached for blocks of the C library only.
        unsafe { reallocated(block, count.checked_mul(size), || original(block, count, size)) }
    }

    fn free(block: *mut c_void) -> () {
        if block.is_null() {
        } else if tell_host!(heap_owns(block)) {
            // SAFETY: the host says that the block is the heap's; the module gives it up.
            unsafe { allocator::free(block) }
        } else {
            // SAFETY: a block that is not the heap's came from the C library, which the original belongs to.
            unsafe { original(block) }
        }
    }

    fn posix_memalign(place: *mut *mut c_void, align: usize, size: usize) -> c_int {
        if !align.is_power_of_two() || !align.is_multiple_of(size_of::<usize>()) {
            return EINVAL;
        }
        let block = allocator::allocate(size, align);
        if block.is_null() {
            return ENOMEM;
        }
        // SAFETY: the module passes a place for a pointer.
        unsafe { *place = block };
        0
    }

    fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
        if align.is_power_of_two() { allocator::allocate(size, align) } else { std::ptr::null_mut() }
    }

    fn memalign(align: usize, size: usize) -> *mut c_void {
        if align.is_power_of_two() { allocator::allocate(size, align) } else { std::ptr::null_mut() }
    }

    fn malloc_usable_size(block: *mut c_void) -> usize {
        if !block.is_null() && tell_host!(heap_owns(block)) {
            tell_host!(heap_usable_size(block))
        } else {
            // SAFETY: null, or a block of the C library, which the original belongs to.
            unsafe { original(block) }
        }
    }
}

/// Alignment in bytes of what `malloc` returns (System V AMD64 ABI: that of `max_align_t`).
const MALLOC_ALIGNMENT: usize = 16;
