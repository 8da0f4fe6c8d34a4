//! Puts a thread or a handle of its own in the way of an unload, and takes it away again.

mod keeper;

use std::ffi::c_void;
use std::hint::black_box;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;

use fixture_interface::unload::Obstacles;

static RELEASE: Mutex<Option<Sender<()>>> = Mutex::new(None);
static RESULT: Mutex<Option<u64>> = Mutex::new(None);
static HANDLE: Mutex<Option<Handle>> = Mutex::new(None);

struct Handle(*mut c_void);

// SAFETY: a handle of the dynamic loader may be used on any thread.
unsafe impl Send for Handle {}

fn set<T>(place: &Mutex<Option<T>>, value: Option<T>) -> Option<T> {
    std::mem::replace(&mut *place.lock().unwrap_or_else(PoisonError::into_inner), value)
}

#[relib_module::export]
impl Obstacles for ObstaclesImpl {
    fn start_thread(blocks: usize) {
        let (sender, receiver) = channel();
        set(&RELEASE, Some(sender));
        let (ready, allocated) = channel();
        let thread = move || {
            let blocks: Vec<Box<u64>> = black_box((0..blocks as u64).map(Box::new).collect());
            ready.send(()).expect("the starting thread waits");
            // An error means that the sender is gone, which releases the thread as well.
            let _ = receiver.recv();
            set(&RESULT, Some(blocks.iter().map(|block| **block).sum()));
        };
        Builder::new().name("obstacle".to_owned()).spawn(thread).expect("a thread should start");
        allocated.recv().expect("the thread should get as far as that");
    }

    fn release_thread() {
        drop(set(&RELEASE, None));
    }

    fn thread_result() -> Option<u64> {
        *RESULT.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_itself() {
        let handle = fixture_system::open_image_at(set::<Handle> as *const c_void);
        set(&HANDLE, Some(Handle(handle)));
    }

    fn close_itself() {
        let handle = set(&HANDLE, None).expect("there should be a handle");
        // SAFETY: the handle is open and given up; the host has one of its own, so this code stays.
        unsafe { fixture_system::close_image(handle.0) };
    }
}
