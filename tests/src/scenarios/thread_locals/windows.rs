//! Threads of the host that `std` knows nothing of: started by the system, ended in each of its ways, or lent by it.

use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::mpsc::channel;

use relib::UnloadError;
use relib_harness::{Failure, OrFail, Run};
use windows_sys::Win32::Foundation::{CloseHandle, WAIT_OBJECT_0};
use windows_sys::Win32::System::Threading::{
    CreateThread, CreateThreadpool, ExitThread, GetCurrentThreadId, INFINITE, PTP_CALLBACK_INSTANCE,
    PTP_POOL, SetThreadpoolThreadMaximum, SetThreadpoolThreadMinimum, TP_CALLBACK_ENVIRON_V3,
    TP_CALLBACK_PRIORITY_NORMAL, TrySubmitThreadpoolCallback, WaitForSingleObject,
};

use super::{DROPPED, Loaded, load, take_dropped, this_thread, warm_up};
use crate::support::allow_for_threads;

/// What a thread is given to do.
type Body<'a> = Box<dyn FnOnce() + Send + 'a>;

unsafe extern "system" fn run_and_return(body: *mut c_void) -> u32 {
    // SAFETY: `on_system_thread` made the box for this thread alone.
    (*unsafe { Box::from_raw(body.cast::<Body<'_>>()) })();
    0
}

unsafe extern "system" fn run_and_exit(body: *mut c_void) -> u32 {
    // SAFETY: as the system has called this function.
    let code = unsafe { run_and_return(body) };
    // SAFETY: nothing on this stack has to be dropped.
    unsafe { ExitThread(code) }
}

/// Runs `body` on a thread of the system's, and waits until the thread is gone.
fn on_system_thread(
    main: unsafe extern "system" fn(*mut c_void) -> u32,
    body: impl FnOnce() + Send,
) -> Result<(), Failure> {
    let body: Box<Body<'_>> = Box::new(Box::new(body));
    // SAFETY: the thread takes the box over, and is waited for; the handle is closed.
    let ended = unsafe {
        let thread = CreateThread(null(), 0, Some(main), Box::into_raw(body).cast(), 0, null_mut());
        if thread.is_null() {
            return Err(std::io::Error::last_os_error().into());
        }
        let ended = WaitForSingleObject(thread, INFINITE);
        CloseHandle(thread);
        ended
    };
    if ended == WAIT_OBJECT_0 { Ok(()) } else { Err(Failure::new("the thread cannot be waited for")) }
}

/// A pool of one thread, which stays.
struct Pool(PTP_POOL);

impl Pool {
    fn new() -> Result<Self, Failure> {
        // SAFETY: the pool is new, and the calls accept it.
        unsafe {
            let pool = CreateThreadpool(null());
            if pool == 0 {
                return Err(std::io::Error::last_os_error().into());
            }
            SetThreadpoolThreadMaximum(pool, 1);
            if SetThreadpoolThreadMinimum(pool, 1) == 0 {
                return Err(std::io::Error::last_os_error().into());
            }
            Ok(Self(pool))
        }
    }

    /// Has the thread run `body`.
    fn run(&self, body: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        let body: Box<Body<'static>> = Box::new(Box::new(body));
        let environment = TP_CALLBACK_ENVIRON_V3 {
            Version: 3,
            Pool: self.0,
            CallbackPriority: TP_CALLBACK_PRIORITY_NORMAL,
            Size: size_of::<TP_CALLBACK_ENVIRON_V3>() as u32,
            ..TP_CALLBACK_ENVIRON_V3::default()
        };
        let body = Box::into_raw(body).cast();
        // SAFETY: the callback takes the box over; the system copies what it needs of the environment.
        match unsafe { TrySubmitThreadpoolCallback(Some(run_on_pool), body, &environment) } {
            0 => Err(std::io::Error::last_os_error().into()),
            _ => Ok(()),
        }
    }
}

unsafe extern "system" fn run_on_pool(_: PTP_CALLBACK_INSTANCE, body: *mut c_void) {
    // SAFETY: `Pool::run` made the box for this call alone.
    (*unsafe { Box::from_raw(body.cast::<Body<'static>>()) })();
}

fn touch(module: &Loaded) {
    module.exports().touch_allocating("object").expect("touch_allocating should not panic");
    module.exports().set_key("value").expect("set_key should not panic");
}

pub(super) fn tls_host_thread_system(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    let pool = Pool::new()?;
    let (done, is_done) = channel();
    pool.run(move || done.send(()).expect("the scenario waits"))?;
    is_done.recv()?;
    warm_up(run)?;

    for (how, main) in [("returns", run_and_return as _), ("calls ExitThread", run_and_exit as _)] {
        let module = load(run)?;
        let mut dropped = Vec::new();
        for _ in 0..50 {
            on_system_thread(main, || touch(&module))?;
            let here = DROPPED.lock().unwrap().iter().any(|(_, thread)| *thread == this_thread());
            run.check(!here, "a destructor of the ended thread ran on another thread")?;
            dropped = take_dropped();
            run.check_eq("objects dropped at the end of the thread", dropped.len(), 2)?;
        }
        run.observe(&format!("dropped when a thread {how}"), dropped.join(", "));
        module.unload()?;
        run.check_eq("dropped at unload", take_dropped(), Vec::<String>::new())?;
    }

    // A thread of the pool does not end with what it has done: the module has to be released there.
    let module = load(run)?;
    let (touched, has_touched) = channel();
    let (releasing, release) = channel::<Loaded>();
    let (released, has_released) = channel();
    pool.run(move || {
        // SAFETY: the function has no preconditions.
        let id = unsafe { GetCurrentThreadId() };
        touch(&module);
        touched.send((module, id)).expect("the scenario waits");
        let module = release.recv().expect("the scenario hands the module over");
        module.release_thread().expect("no code of the module runs here");
        released.send(module).expect("the scenario waits");
    })?;
    let (module, id) = has_touched.recv()?;
    let failed = module.unload().err().or_fail("unloaded although a thread of the pool holds objects")?;
    let UnloadError::ThreadLocalsAlive { threads } = failed.error() else {
        return Err(Failure::new(format!("another error: {failed}")));
    };
    let named: Vec<u32> = threads.iter().map(|thread| thread.id).collect();
    run.check_eq("the threads that are named", named, vec![id])?;
    releasing.send(failed.into_module()).map_err(|_| Failure::new("the thread of the pool is gone"))?;
    let module = has_released.recv()?;
    run.observe("dropped when a thread of the pool releases the module", take_dropped().join(", "));
    module.unload()?;
    run.check_eq("dropped at unload", take_dropped(), Vec::<String>::new())
}
