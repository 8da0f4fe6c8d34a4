use shared::{Exports, ModuleImports};

#[relib_module::export]
impl Exports for ModuleExportsImpl {
    fn greet(name: &str) -> String {
        ModuleImports::log("greeting somebody");
        format!("hello, {name}")
    }
}
