//! Keeps blocks on the module's heap. Fixtures that an unload leaves where they are share this file.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};

use fixture_interface::unload::Keeper;

#[expect(clippy::vec_box, reason = "each number is a block of its own")]
static KEPT: Mutex<Vec<Box<u64>>> = Mutex::new(Vec::new());

#[relib_module::export]
impl Keeper for KeeperImpl {
    fn keep(blocks: usize) {
        let blocks = (0..blocks as u64).map(|number| black_box(Box::new(number)));
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).extend(blocks);
    }

    fn sum_kept() -> u64 {
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|block| **block).sum()
    }
}
