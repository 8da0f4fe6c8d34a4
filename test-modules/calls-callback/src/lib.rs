//! Calls an import that calls an export again.

use fixture_interface::exports_imports::{Countdown, ModuleHost};

#[relib_module::export]
impl Countdown for CountdownImpl {
    fn count_from(number: u32) -> String {
        match number.checked_sub(1) {
            Some(next) => format!("{number} {}", ModuleHost::continue_from(next)),
            None => format!("0, {}", ModuleHost::greeting()),
        }
    }
}
