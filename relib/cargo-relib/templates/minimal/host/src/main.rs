//! The host: runs on while the module is built again and replaced.

use std::path::PathBuf;
use std::time::Duration;

use my_app_shared::{Imports, ModuleExports};
use relib::Reloader;

/// How often the module is called.
const TICK: Duration = Duration::from_secs(1);

#[relib::implement]
impl Imports for ModuleImportsImpl {
    fn log(line: &str) {
        println!("the module says: {line}");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // SAFETY: the module is our own code, and so will be each build of it.
    let mut reloader =
        unsafe { Reloader::<ModuleExports>::start(module_path()?, ModuleImportsImpl)? };
    for tick in 1.. {
        // Here nothing of the module is in use, so that a new build can take its place.
        for event in reloader.poll() {
            println!("{event}");
        }
        match reloader.exports().greet(tick) {
            Some(greeting) => println!("{greeting}"),
            None => {
                let panic = reloader.module().last_panic().expect("it panicked");
                println!("the module {panic}");
            }
        }
        // Ends early when there is a new build.
        reloader.wait(TICK);
    }
    Ok(())
}

/// The module lies beside this program, where cargo has built both.
fn module_path() -> std::io::Result<PathBuf> {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    let name = format!("{DLL_PREFIX}my_app_module{DLL_SUFFIX}");
    Ok(std::env::current_exe()?.with_file_name(name))
}
