//! Calls imports that panic.

use std::panic::catch_unwind;

use fixture_interface::panics::{Caller, ModuleHost};

#[relib_module::export]
impl Caller for CallerImpl {
    fn echo(number: u32) -> u32 {
        number
    }

    fn fail(message: &str) {
        panic!("{message}");
    }

    fn call_failing(message: &str) -> String {
        ModuleHost::fail(message)
    }

    fn catch_failing(message: &str) -> String {
        let message = message.to_owned();
        catch_unwind(move || ModuleHost::fail(&message)).unwrap_or_else(|payload| {
            payload.downcast_ref::<String>().cloned().unwrap_or_else(|| "no text".to_owned())
        })
    }

    fn call_nested(message: &str) -> String {
        format!("the import returned {:?}", ModuleHost::call_fail(message))
    }

    fn pass_nested(message: &str) -> String {
        ModuleHost::pass_fail(message)
    }
}
