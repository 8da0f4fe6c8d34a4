//! Calls a module in a loop, and takes each new build of it.

use std::time::Duration;

use relib::{ReloadError, Reloader};
use shared::ModuleExports;

fn main() -> Result<(), ReloadError> {
    // SAFETY: the module is our own code, and so will be each build of it.
    let mut reloader = unsafe { Reloader::<ModuleExports>::start("target/debug/libmodule.so", ())? };
    loop {
        if let Some(greeting) = reloader.exports().greet("world") {
            println!("{greeting}");
        }
        // A host with work to do calls only `poll`, now and then.
        reloader.wait(Duration::from_secs(1));
        for event in reloader.poll() {
            println!("({event})");
        }
    }
}
