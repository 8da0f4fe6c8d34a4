//! The host: owns the state, and runs on while the module is built again and replaced.

use std::path::PathBuf;
use std::time::Duration;

use my_app_shared::{ModuleExports, World};
use relib::{Reloader, State};

/// How often the module is called.
const TICK: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Lies in a heap of its own, so that it is there when the module that made it is gone.
    let mut world: State<World> = State::new();
    // SAFETY: the module is our own code, and so will be each build of it.
    let mut reloader = unsafe { Reloader::<ModuleExports>::start(module_path()?, ())? };
    loop {
        // Here nothing of the module is in use, so that a new build can take its place.
        for event in reloader.poll() {
            println!("{event}");
        }
        let exports = reloader.exports();
        let done = exports.step(world.lend());
        let description = world.get().and_then(|world| exports.describe(world));
        match done.and(description) {
            Some(description) => println!("{description}"),
            None => {
                let panic = reloader.module().last_panic().expect("it panicked");
                println!("the module {panic}");
            }
        }
        // Ends early when there is a new build.
        reloader.wait(TICK);
    }
}

/// The module lies beside this program, where cargo has built both.
fn module_path() -> std::io::Result<PathBuf> {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    let name = format!("{DLL_PREFIX}my_app_module{DLL_SUFFIX}");
    Ok(std::env::current_exe()?.with_file_name(name))
}
