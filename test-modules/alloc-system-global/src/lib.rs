//! Has the system's allocator as its global one, so that relib cannot reclaim its memory.

use std::alloc::System;
use std::hint::black_box;

use fixture_interface::memory::{Changes, Leak};
use relib_interface::StateMut;
use relib_module::ChangeState;

// Without the feature, which the harness sets, cargo builds this package together with those that want relib's allocator.
#[cfg_attr(feature = "own-global-allocator", global_allocator)]
#[cfg_attr(
    not(feature = "own-global-allocator"),
    expect(dead_code, reason = "relib's allocator is the global one")
)]
static GLOBAL: System = System;

/// Leaves a trace in the working directory.
extern "C" fn constructor() {
    // Without a trace the scenario fails, so an error need not be reported.
    let _ = std::fs::write("constructor-ran", "");
}

fixture_system::constructor!(constructor);

#[cfg(target_os = "linux")]
extern "C" fn destructor() {
    let _ = std::fs::write("destructor-ran", "");
}

#[cfg(target_os = "linux")]
fixture_system::destructor!(destructor);

#[relib_module::export]
impl Leak for LeakImpl {
    fn leak(blocks: usize, bytes: usize) {
        for _ in 0..blocks {
            std::mem::forget(black_box(vec![1u8; bytes].into_boxed_slice()));
        }
    }
}

#[relib_module::export]
impl Changes for ChangesImpl {
    fn add(mut state: StateMut<'_, Vec<u64>>, number: u64) {
        state.init((), |()| Vec::new());
        state.change(number, |numbers, number| numbers.push(number));
    }
}
