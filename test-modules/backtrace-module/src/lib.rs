//! Takes backtraces in functions with names of its own.

use std::backtrace::Backtrace;
use std::hint::black_box;

use fixture_interface::backtraces::{Backtraces, ModuleHost};

#[inline(never)]
fn first_outer<R>(inside: fn() -> R) -> R {
    black_box(first_inner(inside))
}

#[inline(never)]
fn first_inner<R>(inside: fn() -> R) -> R {
    black_box(inside())
}

#[relib_module::export]
impl Backtraces for BacktracesImpl {
    fn backtrace() -> String {
        first_outer(|| Backtrace::force_capture().to_string())
    }

    fn panic() {
        first_outer(|| panic!("far inside"))
    }

    fn call_host() {
        first_outer(ModuleHost::called)
    }
}
