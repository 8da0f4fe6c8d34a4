//! `cargo relib dev`: builds host and module, runs the host, and builds again when a source changes.
//!
//! The host swaps the new module in by itself, through `relib::Reloader`; this program never talks to it. It only starts
//! the host again when the host itself was built anew. One thread handles everything as events: changes of sources
//! (`watch.rs`), ends of builds (`build.rs`) and of the host (`host.rs`), and Ctrl-C.

mod build;
mod host;
mod project;
mod watch;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use notify::RecommendedWatcher;
use relib::HostInspection;

use crate::console::{BAD, FAINT, GOOD, NAME, WARNING, status};
use crate::exit;
use build::{Build, Built, Made};
use host::{End, Host};
use project::Project;

#[derive(clap::Args)]
pub struct Arguments {
    /// The package of the host; needed if several packages with a program depend on relib
    #[arg(long, value_name = "PACKAGE")]
    host: Option<String>,
    /// The package of a module; all that depend on relib_module, if none is given
    #[arg(long = "module", value_name = "PACKAGE")]
    modules: Vec<String>,
    /// The manifest of the project
    #[arg(long, value_name = "PATH")]
    manifest_path: Option<PathBuf>,
    /// Build in the release profile
    #[arg(long)]
    release: bool,
    /// Leave the host running when its own sources change
    #[arg(long)]
    no_restart: bool,
    /// Arguments for the host
    #[arg(last = true, value_name = "ARGUMENTS")]
    host_arguments: Vec<String>,
}

/// Something that happens while the host runs.
enum Event {
    /// A source has changed.
    Changed(PathBuf),
    /// A build has ended.
    Built(Result<Build>),
    /// A host has ended.
    Ended(End),
    /// Ctrl-C, or a request to end.
    Interrupted,
}

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
    status(GOOD, "Watching", &project);
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
                Some(Event::Ended(end)) => self.ended(end),
                Some(Event::Interrupted) => {
                    return Ok(ExitCode::from(exit::INTERRUPTED));
                }
                None => self.build(false)?,
            }
        }
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
        self.show(&changed);
        if changed.iter().any(|path| path.ends_with("Cargo.toml"))
            && let Err(error) = self.find_project()
        {
            status(BAD, "Failed", format_args!("{error:#}"));
            return Ok(());
        }
        self.building = true;
        let sender = self.sender.clone();
        build::start(&self.project, is_first, move |result| {
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
    fn show(&self, changed: &BTreeSet<PathBuf>) {
        const SHOWN: usize = 3;
        let (there, gone): (Vec<_>, Vec<_>) = changed.iter().partition(|path| path.exists());
        let to_show = if there.is_empty() { gone } else { there };
        let names: Vec<String> =
            to_show.iter().take(SHOWN).map(|path| self.project.shown(path).display().to_string()).collect();
        if !names.is_empty() {
            let more = if to_show.len() > SHOWN { ", ..." } else { "" };
            status(NAME, "Changed", format_args!("{}{more}", names.join(", ")));
        }
    }

    fn built(&mut self, build: Build) -> Result<()> {
        let built = match build {
            Build::Made(built) => built,
            Build::Failed => {
                let rest = if self.host.is_some() {
                    "the host goes on with the build that it has"
                } else {
                    "waiting for a change"
                };
                status(BAD, "Failed", format_args!("the errors are shown above; {rest}"));
                return Ok(());
            }
        };
        let before = self.built.replace(built.clone());
        let Some(before) = before.filter(|_| self.host.is_some()) else {
            return self.start_host(&built.host.path);
        };
        let host_is_new = built.host != before.host;
        let new_modules: Vec<&Made> =
            built.modules.iter().filter(|module| !before.modules.contains(module)).collect();
        self.compare(&new_modules);
        if host_is_new && self.arguments.no_restart {
            status(WARNING, "Changed", "the host itself has changed; start it again to see that");
        } else if host_is_new {
            status(NAME, "Restarting", "the host itself has changed");
            self.host = None;
            return self.start_host(&built.host.path);
        }
        for module in new_modules {
            let seconds = built.took.as_secs_f64();
            let path = self.project.shown(&module.path).display();
            status(GOOD, "Rebuilt", format_args!("{path} in {seconds:.1} s"));
        }
        Ok(())
    }

    /// Says how the new modules differ from what the running host asks for.
    fn compare(&self, modules: &[&Made]) {
        let Some(running) = &self.running else {
            return;
        };
        for module in modules {
            // A file that cannot be read is reported by the host, which tries to load it.
            let Ok(module) = relib::inspect(&module.path) else {
                continue;
            };
            for problem in module.fit(running).problems {
                status(WARNING, "Differs", format_args!("from the running host: {problem}"));
            }
        }
    }

    fn start_host(&mut self, program: &Path) -> Result<()> {
        self.running = match relib::inspect_host(program) {
            Ok(host) => Some(host),
            Err(error) => {
                status(WARNING, "Note", error);
                None
            }
        };
        status(GOOD, "Running", self.project.shown(program).display());
        let sender = self.sender.clone();
        self.host = Some(Host::start(program, &self.arguments.host_arguments, move |end| {
            let _ = sender.send(Event::Ended(end));
        })?);
        Ok(())
    }

    fn ended(&mut self, end: End) {
        // A host that was stopped on purpose is not there any more.
        if self.host.as_ref().is_some_and(|host| host.is(&end)) {
            self.host = None;
            let style = if end.is_success() { FAINT } else { BAD };
            status(
                style,
                "Ended",
                format_args!("the host has ended with {end}; the next build starts it again"),
            );
        }
    }
}
