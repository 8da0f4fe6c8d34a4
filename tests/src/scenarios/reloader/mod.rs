//! Bodies of the scenarios of the feature "Reload" that are about `relib::Reloader` and state; their rows are in
//! [`reload`](super::reload).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use fixture_interface::reload::ModuleVersion;
use fixture_interface::threads::ModuleThreads;
use relib::{ExportsHandle, ReloadError, ReloadEvent, ReloadOptions, Reloaded, Reloader};
use relib_harness::{Failure, OrFail, Run};

use crate::platform::{delete, persist};
use crate::project::replace;
use crate::support::{allow_for_threads, another_build, reason};

mod changes;
mod in_use;
mod state;

pub(super) use changes::{edits, files, links};
pub(super) use in_use::{refuse, wait, zombie};
pub(super) use state::{
    heap_state, heap_state_between, heap_state_changed, heap_state_moved, host_state, saved_state,
};

/// Longer than a busy machine takes to notice a change.
const PATIENCE: Duration = Duration::from_secs(60);

fn start<E: ExportsHandle>(path: &Path) -> Result<Reloader<E>, Failure> {
    start_with(path, ReloadOptions::new())
}

fn start_with<E: ExportsHandle>(path: &Path, options: ReloadOptions) -> Result<Reloader<E>, Failure> {
    // SAFETY: the fixtures are this repository's own code.
    Ok(unsafe { options.start(path, ())? })
}

/// What a file has come to: the first event that is not about the way to it.
fn outcome<E: ExportsHandle>(reloader: &mut Reloader<E>) -> Result<ReloadEvent, Failure> {
    loop {
        if !reloader.wait(PATIENCE) {
            return Err(Failure::new("nothing has happened"));
        }
        for event in reloader.poll() {
            if matches!(event, ReloadEvent::Reloaded(_) | ReloadEvent::Refused(_)) {
                return Ok(event);
            }
        }
    }
}

fn reloaded<E: ExportsHandle>(reloader: &mut Reloader<E>) -> Result<Reloaded, Failure> {
    match outcome(reloader)? {
        ReloadEvent::Reloaded(reloaded) => Ok(reloaded),
        event => Err(Failure::new(event.to_string())),
    }
}

fn refused<E: ExportsHandle>(reloader: &mut Reloader<E>) -> Result<ReloadError, Failure> {
    match outcome(reloader)? {
        ReloadEvent::Refused(error) => Ok(error),
        event => Err(Failure::new(format!("the build should be refused: {event}"))),
    }
}

/// A fixture in the scratch directory, and other builds of it.
struct Builds {
    path: PathBuf,
    library: Vec<u8>,
    next: u8,
}

impl Builds {
    fn of(run: &Run, fixture: &str) -> Result<Self, Failure> {
        let path = run.scratch_dir().join(format!("lib{}.so", fixture.replace('-', "_")));
        let library = fs::read(run.fixture(fixture))?;
        replace(&path, &library)?;
        Ok(Self { path, library, next: b'0' })
    }

    fn next(&mut self) -> Result<Vec<u8>, Failure> {
        self.next += 1;
        another_build(&self.library, self.next)
    }

    /// Puts another build in the place of the file, as a whole.
    fn put_next(&mut self) -> Result<(), Failure> {
        let build = self.next()?;
        let beside = self.path.with_extension("new");
        fs::write(&beside, build)?;
        Ok(persist(|| fs::rename(&beside, &self.path))?)
    }
}

fn warm_up<E: ExportsHandle>(run: &mut Run, path: &Path) -> Result<(), Failure> {
    start::<E>(path)?.unload()?;
    run.baseline();
    Ok(())
}

pub(super) fn on_request(run: &mut Run) -> Result<(), Failure> {
    let mut builds = Builds::of(run, "reload-version")?;
    warm_up::<ModuleVersion>(run, &builds.path)?;
    let (woken, wakes) = mpsc::channel();
    let (seen, events) = mpsc::channel();
    let options =
        ReloadOptions::new().on_request(true).wake(move || _ = woken.send(())).on_event(move |event| {
            let name = match event {
                ReloadEvent::Ready { .. } => "ready",
                ReloadEvent::Reloaded(_) => "reloaded",
                _ => "another",
            };
            _ = seen.send(name);
        });
    let mut reloader = start_with::<ModuleVersion>(&builds.path, options)?;
    run.check_eq("events of a file that does not change", reloader.poll().count(), 0)?;
    for _ in 0..2 {
        builds.put_next()?;
        wakes.recv_timeout(PATIENCE)?;
        run.check(
            reloader.poll().all(|event| matches!(event, ReloadEvent::Ready { .. })),
            "it should be ready",
        )?;
        run.check_eq("generation after a poll", reloader.generation(), 1)?;
    }
    run.observe("requested", reloader.reload().to_string().split(" after").next().unwrap_or_default());
    run.observe("requested again", reloader.reload().to_string().split(" after").next().unwrap_or_default());
    run.observe("events", events.try_iter().collect::<Vec<_>>().join(", "));
    delete(&builds.path)?;
    let ReloadEvent::Refused(ReloadError::Load(error)) = reloader.reload() else {
        return Err(Failure::new("there is nothing to load"));
    };
    run.observe("requested without a file", reason(&error, &builds.path)?);
    // The module outlives its reloader.
    let module = reloader.into_module();
    run.observe("the module", module.exports().version().or_fail("version panicked")?);
    module.unload()?;
    Ok(())
}

pub(super) fn several(run: &mut Run) -> Result<(), Failure> {
    let (mut versions, mut threads) = (Builds::of(run, "reload-version")?, Builds::of(run, "threads")?);
    start::<ModuleThreads>(&threads.path)?.unload()?;
    warm_up::<ModuleVersion>(run, &versions.path)?;
    allow_for_threads(run);
    let mut first = start::<ModuleVersion>(&versions.path)?;
    let mut second = start::<ModuleThreads>(&threads.path)?;
    let mut again = start::<ModuleVersion>(&versions.path)?;
    threads.put_next()?;
    reloaded(&mut second)?;
    run.check_eq("the others", (first.poll().count(), again.poll().count()), (0, 0))?;
    versions.put_next()?;
    reloaded(&mut first)?;
    reloaded(&mut again)?;
    run.observe(
        "generations",
        format!("{} {} {}", first.generation(), second.generation(), again.generation()),
    );
    first.unload()?;
    second.unload()?;
    again.unload()?;
    Ok(())
}
