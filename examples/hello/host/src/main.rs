use shared::{Imports, ModuleExports};

#[relib::implement]
impl Imports for ModuleImportsImpl {
    fn log(line: &str) {
        println!("the module says: {line}");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // SAFETY: the module is our own code.
    let module =
        unsafe { relib::load_module::<ModuleExports>("target/debug/libmodule.so", ModuleImportsImpl)? };
    println!("greet returned {:?}", module.exports().greet("world"));
    module.unload()?;
    println!("unloaded");
    Ok(())
}
