//! `cargo relib dev`: builds host and module, runs the host, and builds again when a source changes.
//!
//! The host swaps the new module in by itself, through `relib::Reloader`; this program never talks to it. It only starts
//! the host again when the host itself was built anew. One thread handles everything as events: changes of sources
//! (`watch.rs`), ends of builds (`build.rs`) and of the host (`host.rs`), and Ctrl-C. What it says stands in `note.rs`.

mod arguments;
mod build;
mod event;
mod host;
mod note;
mod project;
mod watch;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use notify::RecommendedWatcher;
use relib::HostInspection;

use crate::console::MessageFormat;
use crate::exit;
pub use arguments::Arguments;
use build::{Build, Built, Made};
use event::Event;
use host::{End, Host};
use note::Note;
use project::Project;

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let project = Project::find(arguments)?;
    let (sender, events) = mpsc::channel();
    let interrupted = sender.clone();
    ctrlc::set_handler(move || {
        // Nobody listens any more when the session is over.
        let _ = interrupted.send(Event::Interrupted);
    })
    .context("cannot watch for Ctrl-C")?;
    // Watched before it is built, so that no change is missed.
    let watcher = watch::start(&project, sender.clone())?;
    let session = Session {
        arguments,
        project,
        watcher,
        sender,
        host: None,
        built: None,
        running: None,
        building: false,
        changed: BTreeSet::new(),
        last_change: None,
    };
    session.run(&events)
}

/// How long the sources must have been left alone before a build starts: editors and version control change several
/// files in a row.
const QUIET: Duration = Duration::from_millis(30);

struct Session<'a> {
    arguments: &'a Arguments,
    project: Project,
    /// Ends when it is dropped.
    watcher: RecommendedWatcher,
    sender: Sender<Event>,
    /// Ends when it is dropped.
    host: Option<Host>,
    /// What the last build that succeeded has made.
    built: Option<Built>,
    /// What the running host asks of modules.
    running: Option<HostInspection>,
    building: bool,
    /// Sources that have changed and are in no build yet.
    changed: BTreeSet<PathBuf>,
    last_change: Option<Instant>,
}

impl Session<'_> {
    fn run(mut self, events: &Receiver<Event>) -> Result<ExitCode> {
        let modules = self.project.modules.iter().map(|module| module.name.as_str()).collect();
        self.say(&Note::Watching { host: &self.project.host.name, modules })?;
        self.build(true)?;
        loop {
            match self.next(events)? {
                Some(Event::Changed(path)) => {
                    self.changed.insert(path);
                    self.last_change = Some(Instant::now());
                }
                Some(Event::Built(build)) => {
                    self.building = false;
                    self.built(build?)?;
                }
                Some(Event::Ended(end)) => self.ended(&end)?,
                Some(Event::Interrupted) => {
                    return Ok(ExitCode::from(exit::INTERRUPTED));
                }
                None => self.build(false)?,
            }
        }
    }

    fn say(&self, note: &Note<'_>) -> Result<()> {
        note.say(self.arguments.message_format, &self.project)
    }

    /// Waits for the next event; `None` when it is time to build.
    fn next(&self, events: &Receiver<Event>) -> Result<Option<Event>> {
        let closed = "the session has lost its events";
        match self.last_change.filter(|_| !self.building) {
            None => events.recv().map(Some).context(closed),
            Some(changed) => match events.recv_timeout(QUIET.saturating_sub(changed.elapsed())) {
                Ok(event) => Ok(Some(event)),
                Err(RecvTimeoutError::Timeout) => Ok(None),
                Err(RecvTimeoutError::Disconnected) => anyhow::bail!(closed),
            },
        }
    }

    fn build(&mut self, is_first: bool) -> Result<()> {
        self.last_change = None;
        let changed = std::mem::take(&mut self.changed);
        self.show(&changed)?;
        if changed.iter().any(|path| path.ends_with("Cargo.toml"))
            && let Err(error) = self.find_project()
        {
            return self.say(&Note::ProjectUnreadable { error: format!("{error:#}") });
        }
        self.building = true;
        let sender = self.sender.clone();
        let passes_on = self.arguments.message_format == MessageFormat::Json;
        build::start(&self.project, is_first, passes_on, move |result| {
            let _ = sender.send(Event::Built(result));
        })
    }

    /// Finds out anew what is to be built and watched: a manifest has changed.
    fn find_project(&mut self) -> Result<()> {
        let project = Project::find(self.arguments)?;
        self.watcher = watch::start(&project, self.sender.clone())?;
        self.project = project;
        Ok(())
    }

    /// Says what a build is for. Files that editors write on the way are gone by now.
    fn show(&self, changed: &BTreeSet<PathBuf>) -> Result<()> {
        let (there, gone): (Vec<_>, Vec<_>) = changed.iter().cloned().partition(|path| path.exists());
        let files = if there.is_empty() { gone } else { there };
        if files.is_empty() { Ok(()) } else { self.say(&Note::Changed { files }) }
    }

    fn built(&mut self, build: Build) -> Result<()> {
        let built = match build {
            Build::Made(built) => built,
            Build::Failed => return self.say(&Note::BuildFailed { host_runs: self.host.is_some() }),
        };
        let before = self.built.replace(built.clone());
        let Some(before) = before.filter(|_| self.host.is_some()) else {
            return self.start_host(&built.host.path);
        };
        let host_is_new = built.host != before.host;
        let new_modules: Vec<&Made> =
            built.modules.iter().filter(|module| !before.modules.contains(module)).collect();
        self.compare(&new_modules)?;
        if host_is_new && self.arguments.no_restart {
            self.say(&Note::HostChanged)?;
        } else if host_is_new {
            self.say(&Note::HostRestarting)?;
            self.host = None;
            return self.start_host(&built.host.path);
        }
        for module in new_modules {
            self.say(&Note::Rebuilt { module: &module.path, seconds: built.took.as_secs_f64() })?;
        }
        Ok(())
    }

    /// Says how the new modules differ from what the running host asks for.
    fn compare(&self, modules: &[&Made]) -> Result<()> {
        let Some(running) = &self.running else {
            return Ok(());
        };
        for Made { path: module, .. } in modules {
            // A file that cannot be read is reported by the host, which tries to load it.
            let Ok(inspected) = relib::inspect(module) else {
                continue;
            };
            for problem in inspected.fit(running).problems {
                self.say(&Note::Differs { module, problem: problem.to_string() })?;
            }
        }
        Ok(())
    }

    fn start_host(&mut self, program: &Path) -> Result<()> {
        self.running = match relib::inspect_host(program) {
            Ok(host) => Some(host),
            Err(error) => {
                self.say(&Note::HostUnreadable { error: error.to_string() })?;
                None
            }
        };
        self.say(&Note::HostRunning { program })?;
        let sender = self.sender.clone();
        let mut command = Command::new(program);
        command.args(&self.arguments.host_arguments);
        if self.arguments.message_format == MessageFormat::Json {
            command.stdout(std::io::stderr());
        }
        self.host = Some(Host::start(command, move |end| {
            let _ = sender.send(Event::Ended(end));
        })?);
        Ok(())
    }

    fn ended(&mut self, end: &End) -> Result<()> {
        // A host that was stopped on purpose is not there any more.
        if !self.host.as_ref().is_some_and(|host| host.is(end)) {
            return Ok(());
        }
        self.host = None;
        self.say(&Note::HostEnded { status: end.to_string(), success: end.is_success() })
    }
}
