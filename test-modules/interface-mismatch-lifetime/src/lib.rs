//! Keeps what an import returns for ever, as another version of the shared crate promises.

use std::sync::Mutex;

use fixture_interface::mismatch::ModuleNames;

static KEPT: Mutex<Option<&'static str>> = Mutex::new(None);

#[relib_module::export]
fn main() {
    *KEPT.lock().unwrap() = Some(ModuleNames::name(&String::from("a name")));
}
