//! Is linked so that the dynamic loader is asked never to unmap it.

use std::sync::atomic::{AtomicU32, Ordering};

use fixture_interface::unload::Counter;

static COUNT: AtomicU32 = AtomicU32::new(0);

#[relib_module::export]
impl Counter for CounterImpl {
    fn count() -> u32 {
        COUNT.fetch_add(1, Ordering::Relaxed) + 1
    }
}
