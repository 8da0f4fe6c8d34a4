//! The module: change it while the host runs.

use my_app_shared::{Exports, ModuleImports};

#[relib_module::export]
impl Exports for ModuleExportsImpl {
    fn greet(tick: u64) -> String {
        if tick.is_multiple_of(10) {
            ModuleImports::log("ten more ticks");
        }
        format!("hello for the {tick}. time")
    }
}
