//! Has a `main` that returns how often it was called.

use std::sync::atomic::{AtomicU64, Ordering};

static CALLS: AtomicU64 = AtomicU64::new(0);

#[relib_module::export]
fn main() -> u64 {
    CALLS.fetch_add(1, Ordering::Relaxed) + 1
}
