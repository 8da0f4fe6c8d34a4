//! Leaves thread-specific keys behind.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

use fixture_interface::ledger::Keys;
use fixture_system::Key;

static DESTROYED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn destroy(_: *mut c_void) {
    DESTROYED.fetch_add(1, Ordering::Relaxed);
}

#[relib_module::export]
impl Keys for KeysImpl {
    fn leak(keys: usize) {
        for index in 0..keys {
            // Nothing reads the value.
            Key::new((index % 2 == 0).then_some(destroy)).set((&raw const DESTROYED).cast());
        }
    }

    fn make_and_delete(keys: usize) {
        let keys: Vec<_> = (0..keys).map(|_| Key::new(Some(destroy))).collect();
        keys.into_iter().for_each(Key::delete);
    }

    fn destroyed() -> usize {
        DESTROYED.load(Ordering::Relaxed)
    }
}
