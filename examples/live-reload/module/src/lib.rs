//! Greets. Change it while the host runs.

use shared::Exports;

#[relib_module::export]
impl Exports for ModuleExportsImpl {
    fn greet(name: &str) -> String {
        format!("hello, {name}")
    }
}
