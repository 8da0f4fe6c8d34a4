//! Stops and joins its threads in `before_unload`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

static STOP: AtomicBool = AtomicBool::new(false);
static STARTED: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

#[relib_module::export]
fn main() -> u64 {
    let mut started = STARTED.lock().unwrap();
    for _ in 0..3 {
        started.push(thread::spawn(|| {
            while !STOP.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
            }
        }));
    }
    started.len() as u64
}

#[relib_module::export]
fn before_unload() {
    STOP.store(true, Ordering::Relaxed);
    STARTED.lock().unwrap().drain(..).for_each(|thread| thread.join().unwrap());
}
