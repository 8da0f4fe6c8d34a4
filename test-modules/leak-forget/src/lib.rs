//! Forgets boxes.

use std::hint::black_box;

use fixture_interface::memory::Leak;

#[relib_module::export]
impl Leak for LeakImpl {
    fn leak(blocks: usize, bytes: usize) {
        for _ in 0..blocks {
            std::mem::forget(black_box(vec![1u8; bytes].into_boxed_slice()));
        }
    }
}
