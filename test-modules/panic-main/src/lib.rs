//! Panics in `main`, and in `before_unload` when it is told to.

use std::sync::atomic::{AtomicBool, Ordering};

use fixture_interface::panics::Unwilling;

static REFUSES: AtomicBool = AtomicBool::new(false);

#[relib_module::export]
impl Unwilling for UnwillingImpl {
    fn refuse(refuse: bool) {
        REFUSES.store(refuse, Ordering::Relaxed);
    }
}

#[relib_module::export]
fn main() -> String {
    panic!("main has nothing to return");
}

#[relib_module::export]
fn before_unload() {
    assert!(!REFUSES.load(Ordering::Relaxed), "not yet");
}
