//! Leaves thread-specific keys behind.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

use fixture_interface::ledger::Keys;

static DESTROYED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn destroy(_: *mut c_void) {
    DESTROYED.fetch_add(1, Ordering::Relaxed);
}

fn make(destructor: Option<unsafe extern "C" fn(*mut c_void)>) -> libc::pthread_key_t {
    let mut key = 0;
    // SAFETY: the call writes to `key`; the destructor ignores its argument.
    assert_eq!(unsafe { libc::pthread_key_create(&mut key, destructor) }, 0, "there should be a free key");
    key
}

#[relib_module::export]
impl Keys for KeysImpl {
    fn leak(keys: usize) {
        for index in 0..keys {
            let key = make((index % 2 == 0).then_some(destroy));
            // SAFETY: the key was just made, and nothing reads the value.
            unsafe { libc::pthread_setspecific(key, (&raw const DESTROYED).cast()) };
        }
    }

    fn make_and_delete(keys: usize) {
        let keys: Vec<_> = (0..keys).map(|_| make(Some(destroy))).collect();
        for key in keys {
            // SAFETY: the key was made above and is used nowhere else.
            unsafe { libc::pthread_key_delete(key) };
        }
    }

    fn destroyed() -> usize {
        DESTROYED.load(Ordering::Relaxed)
    }
}
