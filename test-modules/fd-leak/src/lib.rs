//! Leaves descriptors open.

use std::sync::{Mutex, PoisonError};

use fixture_interface::ledger::Descriptors;
use fixture_system::Opened;

static OPENED: Mutex<Option<Opened>> = Mutex::new(None);

#[relib_module::export]
impl Descriptors for DescriptorsImpl {
    fn leak(file: &str) -> Vec<i32> {
        let opened = Opened::new(file).expect("everything should open");
        let numbers = opened.numbers();
        *OPENED.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened);
        numbers
    }

    fn open_and_close(file: &str) {
        drop(Opened::new(file).expect("everything should open"));
    }

    fn close() {
        *OPENED.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn hand_over(file: &str) -> i32 {
        fixture_system::open_for_good(file).expect("the file should open")
    }

    fn redirect_and_restore(number: i32, file: &str) {
        fixture_system::redirect_and_restore(number, file).expect("the file should open");
    }
}
