//! Has a symbol that must be unique in the process: the static of a C++ template.

use fixture_interface::unload::Counter;

unsafe extern "C" {
    /// Counts in the template's static.
    safe fn count_in_cpp() -> u32;
}

#[relib_module::export]
impl Counter for CounterImpl {
    fn count() -> u32 {
        count_in_cpp()
    }
}
