//! A new build while the old module is in use, by each policy.

use std::time::Duration;

use fixture_interface::threads::ModuleThreads;
use relib::{InUsePolicy, OldModule, ReloadEvent, ReloadOptions, Reloader};
use relib_harness::{Failure, OrFail, Run};

use super::{Builds, PATIENCE, refused, reloaded, start_with, warm_up};
use crate::support::allow_for_threads;

/// A module with a thread that runs until it is told to stop.
fn busy(run: &mut Run, policy: InUsePolicy) -> Result<(Builds, Reloader<ModuleThreads>), Failure> {
    let builds = Builds::of(run, "threads")?;
    warm_up::<ModuleThreads>(run, &builds.path)?;
    let reloader = start_with::<ModuleThreads>(&builds.path, ReloadOptions::new().when_in_use(policy))?;
    reloader.exports().start("busy").or_fail("start panicked")?;
    Ok((builds, reloader))
}

fn stop(reloader: &Reloader<ModuleThreads>) -> Result<(), Failure> {
    reloader.exports().stop().or_fail("stop panicked")?;
    reloader.exports().join().or_fail("join panicked")
}

pub fn refuse(run: &mut Run) -> Result<(), Failure> {
    let (mut builds, mut reloader) = busy(run, InUsePolicy::Refuse)?;
    builds.put_next()?;
    run.observe("while a thread runs", refused(&mut reloader)?);
    run.observe("generation", reloader.generation());
    // The thread is the old module's, which answers.
    stop(&reloader)?;
    let ReloadEvent::Reloaded(event) = reloader.reload() else {
        return Err(Failure::new("nothing is in the way any more"));
    };
    run.observe("when it has ended, on request", format!("generation {}", event.generation));
    reloader.unload()?;
    Ok(())
}

pub fn wait(run: &mut Run) -> Result<(), Failure> {
    let mut builds = Builds::of(run, "threads")?;
    warm_up::<ModuleThreads>(run, &builds.path)?;
    let patient = ReloadOptions::new().when_in_use(InUsePolicy::Wait(PATIENCE));
    let mut reloader = start_with::<ModuleThreads>(&builds.path, patient)?;
    // Longer than a reload takes, so that the swap finds the thread.
    reloader.exports().start_for(1500).or_fail("start_for panicked")?;
    builds.put_next()?;
    run.observe(
        "a thread that is about to end",
        format!("generation {}", reloaded(&mut reloader)?.generation),
    );
    reloader.unload()?;

    let impatient = ReloadOptions::new().when_in_use(InUsePolicy::Wait(Duration::from_millis(50)));
    let mut reloader = start_with::<ModuleThreads>(&builds.path, impatient)?;
    reloader.exports().start("busy").or_fail("start panicked")?;
    builds.put_next()?;
    run.observe("a thread that is not", refused(&mut reloader)?);
    stop(&reloader)?;
    reloader.unload()?;
    Ok(())
}

pub fn zombie(run: &mut Run) -> Result<(), Failure> {
    let (mut builds, mut reloader) = busy(run, InUsePolicy::Zombie)?;
    allow_for_threads(run);
    builds.put_next()?;
    match reloaded(&mut reloader)?.old {
        OldModule::Zombie(error) => run.observe("the old module", error),
        old => return Err(Failure::new(format!("the old module should stay: {old:?}"))),
    }
    run.observe("zombies", reloader.zombies().len());
    run.check_eq("the new module", reloader.exports().sum_joined(3), Some(3))?;
    run.check_eq("zombies that can be unloaded", reloader.unload_zombies().len(), 0)?;
    // The zombie is as good as ever, and its thread its own.
    let zombie = reloader.zombies().first().or_fail("there should be a zombie")?;
    zombie.exports().stop().or_fail("stop panicked")?;
    zombie.exports().join().or_fail("join panicked")?;
    builds.put_next()?;
    let event = reloaded(&mut reloader)?;
    run.check(matches!(event.old, OldModule::Unloaded(_)), "the second module has no threads")?;
    run.observe("zombies after the next swap", reloader.zombies().len());
    reloader.unload()?;
    Ok(())
}
