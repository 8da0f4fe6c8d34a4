//! Answers orders.

use std::cell::RefCell;
use std::fmt::Write as _;

use interface::{Handler, ModuleServer};

/// What everybody gets with the order.
const EXTRA: &str = "a biscuit";

thread_local! {
    /// Used again for each request of a thread: what handlers like to have, and what is in the way of an unload.
    static BUFFER: RefCell<String> = const { RefCell::new(String::new()) };
}

#[relib_module::export]
impl Handler for ModuleHandlerImpl {
    fn handle(request: &str) -> String {
        let price = ModuleServer::look_up(request);
        BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            write!(buffer, "{request} and {EXTRA}, {price}").expect("a string takes everything");
            buffer.clone()
        })
    }
}
