//! Is linked with an option that relib does not support.

use fixture_interface::load::Counter;

#[relib_module::export]
impl Counter for CounterImpl {
    fn next() -> u64 {
        0
    }
}
