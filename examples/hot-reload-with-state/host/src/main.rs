//! Calls a module in a loop, takes each new build of it, and keeps two of its three states.

use std::time::Duration;

use relib::{ReloadError, Reloader, State};
use shared::{ModuleExports, Score, World};

fn main() -> Result<(), ReloadError> {
    let mut score = Score::default();
    let mut world: State<World> = State::new();
    // SAFETY: the module is our own code, and so will be each build of it.
    let mut reloader = unsafe { Reloader::<ModuleExports>::start("target/debug/libmodule.so", ())? };
    loop {
        if let Some(line) = reloader.exports().tick(&mut score, world.lend()) {
            println!("{line}");
        }
        reloader.wait(Duration::from_secs(1));
        for event in reloader.poll() {
            println!("({event})");
            // The host reads the state where it is, whichever build has made it.
            println!("(the last one is {:?})", world.get().and_then(|world| world.inhabitants.last()));
        }
    }
}
