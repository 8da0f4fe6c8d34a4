//! Changes what the host lends it, and returns parts of it.

use fixture_interface::exports_imports::{Borrowed, Counter};

#[relib_module::export]
impl Borrowed for BorrowedImpl {
    fn step(counter: &mut Counter) -> usize {
        counter.steps += 1;
        counter.history.rotate_right(1);
        counter.history[0] = counter.steps;
        std::ptr::from_ref(counter).addr()
    }

    fn sort(numbers: &mut [u32]) {
        numbers.sort_unstable();
    }

    fn first_word(text: &str) -> &str {
        text.split_whitespace().next().unwrap_or("")
    }

    fn longer<'a>(one: &'a [u32], other: &'a [u32]) -> &'a [u32] {
        if one.len() >= other.len() { one } else { other }
    }

    fn motto() -> &'static str {
        "nothing is left behind"
    }
}
