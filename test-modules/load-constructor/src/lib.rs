//! Leaves a trace when its constructor runs, and counts.

use std::sync::atomic::{AtomicU64, Ordering};

use fixture_interface::load::Counter;

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Leaves a trace in the working directory, before anything else of the image runs.
extern "C" fn constructor() {
    // Without a trace the scenario fails, so an error need not be reported.
    let _ = std::fs::write("constructor-ran", "");
}

fixture_system::constructor!(constructor);

#[relib_module::export]
impl Counter for CounterImpl {
    fn next() -> u64 {
        COUNT.fetch_add(1, Ordering::Relaxed) + 1
    }
}
