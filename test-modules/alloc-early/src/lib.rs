//! Allocates much in a constructor and keeps some of it.

use std::sync::Mutex;

use relib_module as _;

static KEPT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

extern "C" fn construct() {
    let mut kept = KEPT.lock().unwrap();
    for number in 0..100 {
        // Grows in steps, so that blocks are resized, and leaves all but the last to be freed.
        let mut block = vec![number; 100 * 1024];
        block.resize(1 << 20, number);
        *kept = block;
    }
}

fixture_system::constructor!(construct);
