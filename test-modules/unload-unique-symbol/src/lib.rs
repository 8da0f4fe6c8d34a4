//! Has a symbol that must be unique in the process: the static of a C++ template.

#[path = "../../unload-obstacles/src/keeper.rs"]
mod keeper;

use fixture_interface::load::Counter;

unsafe extern "C" {
    /// Counts in the template's static.
    safe fn count_in_cpp() -> u32;
}

#[relib_module::export]
impl Counter for CounterImpl {
    fn next() -> u64 {
        count_in_cpp().into()
    }
}
