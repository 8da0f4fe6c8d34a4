//! Is linked so that the dynamic loader is asked never to unmap it.

#[path = "../../unload-obstacles/src/keeper.rs"]
mod keeper;

use std::sync::atomic::{AtomicU64, Ordering};

use fixture_interface::load::Counter;

static COUNT: AtomicU64 = AtomicU64::new(0);

#[relib_module::export]
impl Counter for CounterImpl {
    fn next() -> u64 {
        COUNT.fetch_add(1, Ordering::Relaxed) + 1
    }
}
