use shared::{Imports, ModuleExports};

#[relib::implement]
impl Imports for ModuleImportsImpl {
    fn log(line: &str) {
        println!("module: {line}");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // SAFETY: the module is our own code.
    let module = unsafe { relib::load_module::<ModuleExports>("target/debug/libmodule.so", ModuleImportsImpl)? };
    println!("{:?}", module.exports().greet("world"));
    println!("{:?}", module.unload()?);
    Ok(())
}
