//! The host: takes what the module's tasks make, and runs on while the module is built again and replaced.

use std::path::PathBuf;
use std::time::Duration;

use my_app_shared::ModuleExports;
use relib::{ReloadEvent, Reloader};

/// How often the host looks what the tasks have made.
const TICK: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // SAFETY: the module is our own code, and so will be each build of it.
    let mut reloader = unsafe { Reloader::<ModuleExports>::start(module_path()?, ())? };
    report_panic(&reloader, reloader.exports().start());
    loop {
        // Ends early when there is a new build.
        reloader.wait(TICK);
        for event in reloader.poll() {
            println!("{event}");
            // The tasks have ended with the module that they belonged to.
            if matches!(event, ReloadEvent::Reloaded(_)) {
                report_panic(&reloader, reloader.exports().start());
            }
        }
        let messages = reloader.exports().take();
        for message in report_panic(&reloader, messages).unwrap_or_default() {
            println!("{message}");
        }
    }
}

fn report_panic<T>(reloader: &Reloader<ModuleExports>, result: Option<T>) -> Option<T> {
    if result.is_none() {
        let panic = reloader.module().last_panic().expect("it panicked");
        println!("the module {panic}");
    }
    result
}

/// The module lies beside this program, where cargo has built both.
fn module_path() -> std::io::Result<PathBuf> {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    let name = format!("{DLL_PREFIX}my_app_module{DLL_SUFFIX}");
    Ok(std::env::current_exe()?.with_file_name(name))
}
