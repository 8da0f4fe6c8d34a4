//! Threads as only Windows has them: made without running, and ended together with a handle of the library whose code they
//! run. Elsewhere it is empty.
#![cfg(windows)]

use std::ffi::c_void;
use std::hint::black_box;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use fixture_interface::threads::SystemThreads;
use windows_sys::Win32::Foundation::{CloseHandle, HANDLE};
use windows_sys::Win32::System::LibraryLoader::FreeLibraryAndExitThread;
use windows_sys::Win32::System::Threading::{
    CREATE_SUSPENDED, CreateThread, ResumeThread, THREAD_CREATION_FLAGS,
};

static SUSPENDED: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Allocating;

impl Drop for Allocating {
    fn drop(&mut self) {
        let lines: Vec<String> = (0..10).map(|index| black_box(format!("line {index}"))).collect();
        DROPPED.fetch_add(lines.len() / 10, Ordering::Relaxed);
    }
}

thread_local! {
    static OBJECT: Allocating = const { Allocating };
}

type ThreadMain = unsafe extern "system" fn(*mut c_void) -> u32;

fn start(main: ThreadMain, argument: *mut c_void, flags: THREAD_CREATION_FLAGS) -> HANDLE {
    // SAFETY: the function may run on any thread, with this argument.
    let thread = unsafe { CreateThread(null(), 0, Some(main), argument, flags, null_mut()) };
    assert!(!thread.is_null(), "a thread should start");
    thread
}

unsafe extern "system" fn touch(_: *mut c_void) -> u32 {
    OBJECT.with(|_| ());
    0
}

unsafe extern "system" fn touch_and_free(image: *mut c_void) -> u32 {
    OBJECT.with(|_| ());
    // SAFETY: the handle was opened for this thread, which has nothing on its stack that would have to be dropped.
    unsafe { FreeLibraryAndExitThread(image, 0) }
}

#[relib_module::export]
impl SystemThreads for SystemThreadsImpl {
    fn start_suspended() {
        SUSPENDED.store(start(touch, null_mut(), CREATE_SUSPENDED), Ordering::Relaxed);
    }

    fn resume() {
        let thread = SUSPENDED.swap(null_mut(), Ordering::Relaxed);
        // SAFETY: the handle is that of `start_suspended`, and is given up.
        unsafe {
            ResumeThread(thread);
            CloseHandle(thread);
        }
    }

    fn start_freeing() {
        let image = fixture_system::open_image_at(touch_and_free as *const c_void);
        let thread = start(touch_and_free, image, 0);
        // SAFETY: the handle is open, and is given up.
        unsafe { CloseHandle(thread) };
    }

    fn dropped() -> usize {
        DROPPED.load(Ordering::Relaxed)
    }
}
