//! Something for each stage of an unload. The fixtures that export `before_unload` in one way or another share this file.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use fixture_interface::unload::{ModuleEvents, Stages};

/// The thread, and what ends it.
static THREAD: Mutex<Option<(JoinHandle<()>, Sender<()>)>> = Mutex::new(None);

struct Announced;

impl Drop for Announced {
    fn drop(&mut self) {
        ModuleEvents::happened("a thread-local object is dropped");
    }
}

thread_local!(static OBJECT: Announced = const { Announced });

extern "C" fn image_goes() {
    ModuleEvents::happened("the image goes");
}

#[relib_module::export]
impl Stages for StagesImpl {
    fn prepare() {
        OBJECT.with(|_| ());
        // SAFETY: the function is callable until the image goes, which is when the C library calls it.
        unsafe { fixture_system::at_exit(image_goes) };
        let (sender, receiver) = channel();
        let thread = std::thread::spawn(move || {
            // Returns when the sender is gone.
            let _ = receiver.recv();
            ModuleEvents::happened("a thread ends");
        });
        *THREAD.lock().unwrap_or_else(PoisonError::into_inner) = Some((thread, sender));
    }
}

/// What `before_unload` does.
pub fn finish() {
    ModuleEvents::happened("before_unload is called");
    let thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((thread, sender)) = thread {
        drop(sender);
        thread.join().expect("the thread should not panic");
    }
}
