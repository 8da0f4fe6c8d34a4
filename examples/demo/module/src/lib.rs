//! A module that does everything that makes plain dynamic libraries of Rust code hard to unload.

use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use demo_shared::{Exports, GuestBook, ModuleImports};

/// The demo changes this line and builds the module again.
const GREETING: &str = "hello";

/// Says goodbye when the thread, or the module, ends.
struct Farewell;

impl Drop for Farewell {
    fn drop(&mut self) {
        ModuleImports::say("the thread-local is dropped, and may still allocate and call the host");
    }
}

thread_local!(static FAREWELL: Farewell = const { Farewell });

static STOP: AtomicBool = AtomicBool::new(false);
static WORKER: Mutex<Option<JoinHandle<()>>> = Mutex::new(None);

#[relib_module::export]
impl Exports for ModuleExportsImpl {
    fn greet(book: &mut GuestBook, name: &str) -> String {
        FAREWELL.with(|_| ());
        book.guests.push(name.to_owned());
        format!("{GREETING}, {name}; you are guest number {}", book.guests.len())
    }

    fn leak(mebibytes: usize) {
        std::mem::forget(black_box(vec![1u8; mebibytes << 20]));
    }

    fn letter(word: &str, index: usize) -> char {
        word.chars().nth(index).expect("the word is not that long")
    }

    fn start_worker() {
        STOP.store(false, Ordering::Relaxed);
        let worker = std::thread::Builder::new().name("worker".to_owned()).spawn(|| {
            while !STOP.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        *WORKER.lock().unwrap() = Some(worker.expect("the system has room for one more thread"));
    }

    fn stop_worker() {
        STOP.store(true, Ordering::Relaxed);
        if let Some(worker) = WORKER.lock().unwrap().take() {
            worker.join().expect("the worker does not panic");
        }
    }
}

#[relib_module::export]
fn before_unload() {
    ModuleImports::say("before_unload: a good place to stop threads and save state");
}
