//! Panics in every way.

use std::hint::black_box;
use std::panic::{catch_unwind, panic_any};

use fixture_interface::panics::Panics;

/// Panics when it is dropped.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

fn text(payload: Box<dyn std::any::Any + Send>) -> String {
    payload.downcast_ref::<String>().cloned().unwrap_or_else(|| "no text".to_owned())
}

#[relib_module::export]
impl Panics for PanicsImpl {
    fn echo(number: u32) -> u32 {
        number
    }

    fn panic_with(message: &str) -> String {
        let kept = black_box(message.to_owned());
        if black_box(true) {
            panic!("{kept}");
        }
        kept
    }

    fn panic_with_number() {
        panic_any(42);
    }

    fn panic_with_bomb() {
        panic_any(Bomb("the payload was dropped"));
    }

    fn catch(message: &str) -> String {
        let message = message.to_owned();
        catch_unwind(move || panic!("{message}")).map_or_else(text, |()| "no panic".to_owned())
    }

    fn panic_in_thread(message: &str) -> String {
        let message = message.to_owned();
        let thread = std::thread::spawn(move || panic!("{message}"));
        thread.join().map_or_else(text, |()| "no panic".to_owned())
    }

    fn panic_twice() {
        let _bomb = black_box(Bomb("in the destructor"));
        panic!("in the function");
    }
}
