//! Keeps a tokio runtime in a static.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime as Tokio};

use fixture_interface::threads::Runtime;

static RUNTIME: Mutex<Option<Tokio>> = Mutex::new(None);
static SHUT_DOWN: AtomicBool = AtomicBool::new(false);

/// A runtime whose threads all run: one that has not begun has no name yet.
fn start() -> Tokio {
    const WORKERS: usize = 2;
    let (started, has_started) = mpsc::channel();
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("tokio")
        .on_thread_start(move || _ = started.send(()))
        .enable_time()
        .build()
        .unwrap();
    (0..WORKERS).for_each(|_| has_started.recv().unwrap());
    runtime
}

#[relib_module::export]
impl Runtime for RuntimeImpl {
    fn sum(end: u64) -> u64 {
        let mut runtime = RUNTIME.lock().unwrap();
        let runtime = runtime.get_or_insert_with(start);
        runtime.block_on(async {
            let mut tasks = Vec::new();
            for number in 0..end {
                tasks.push(tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    number
                }));
            }
            let mut sum = 0;
            for task in tasks {
                sum += task.await.unwrap();
            }
            sum
        })
    }

    fn shut_down_before_unload(shut_down: bool) {
        SHUT_DOWN.store(shut_down, Ordering::Relaxed);
    }
}

#[relib_module::export]
fn before_unload() {
    if SHUT_DOWN.load(Ordering::Relaxed) {
        // Dropping the runtime joins its workers.
        drop(RUNTIME.lock().unwrap().take());
    }
}
