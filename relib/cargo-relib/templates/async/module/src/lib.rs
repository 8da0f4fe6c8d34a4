//! The module: runs tasks of its own in the background. Change it while the host runs.
//!
//! A module cannot be unloaded while its threads run, so `before_unload` ends them.

use std::sync::Mutex;
use std::time::Duration;

use my_app_shared::Exports;
use tokio::runtime::{Builder, Runtime};

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);
static MESSAGES: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[relib_module::export]
impl Exports for ModuleExportsImpl {
    fn start() {
        let mut runtime = RUNTIME.lock().unwrap();
        let runtime = runtime.get_or_insert_with(|| {
            let mut builder = Builder::new_multi_thread();
            builder
                .worker_threads(2)
                .enable_time()
                .build()
                .expect("threads can be started")
        });
        runtime.spawn(count());
    }

    fn take() -> Vec<String> {
        std::mem::take(&mut MESSAGES.lock().unwrap())
    }
}

async fn count() {
    for number in 1_u64.. {
        MESSAGES.lock().unwrap().push(format!("task says {number}"));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[relib_module::export]
fn before_unload() {
    // Dropping the runtime ends its tasks at their next `await`, and joins its threads.
    drop(RUNTIME.lock().unwrap().take());
}
