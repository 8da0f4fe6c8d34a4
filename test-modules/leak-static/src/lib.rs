//! Keeps values in statics of all kinds, which nothing drops.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::{LazyLock, Mutex, OnceLock};

use fixture_interface::memory::Statics;

type Bytes = Box<[u8]>;

static mut MUTABLE: Option<Bytes> = None;
static ONCE: OnceLock<Bytes> = OnceLock::new();
static LAZY: LazyLock<Mutex<Bytes>> = LazyLock::new(Mutex::default);

thread_local! {
    /// A reference has no destructor.
    static LEAKED: Cell<&'static [u8]> = const { Cell::new(&[]) };
}

fn bytes(len: usize) -> Bytes {
    black_box(vec![7u8; len].into_boxed_slice())
}

#[relib_module::export]
impl Statics for StaticsImpl {
    fn fill(len: usize) {
        // SAFETY: the scenario calls this from one thread.
        unsafe { MUTABLE = Some(bytes(len)) };
        _ = ONCE.set(bytes(len));
        *LAZY.lock().unwrap() = bytes(len);
        LEAKED.set(Box::leak(bytes(len)));
    }
}
