//! Takes backtraces in functions with names of its own, which are not those of `backtrace-module`.

use std::backtrace::Backtrace;
use std::hint::black_box;

use fixture_interface::backtraces::{Backtraces, ModuleHost};

#[inline(never)]
fn second_outer<R>(inside: fn() -> R) -> R {
    black_box(second_inner(inside))
}

#[inline(never)]
fn second_inner<R>(inside: fn() -> R) -> R {
    black_box(inside())
}

#[relib_module::export]
impl Backtraces for BacktracesImpl {
    fn backtrace() -> String {
        second_outer(|| Backtrace::force_capture().to_string())
    }

    fn panic() {
        second_outer(|| panic!("far inside"))
    }

    fn call_host() {
        second_outer(ModuleHost::called)
    }
}
