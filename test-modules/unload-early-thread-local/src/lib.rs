//! Makes a thread-local object with a destructor in a constructor, on the thread that loads the module.

use std::cell::RefCell;

use fixture_interface::unload::Early;

thread_local!(static EARLY: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) });

extern "C" fn construct() {
    EARLY.with_borrow_mut(|early| early.push(1));
}

fixture_system::constructor!(construct);

#[relib_module::export]
impl Early for EarlyImpl {
    fn first_argument() -> Option<String> {
        std::env::args().next()
    }
}
