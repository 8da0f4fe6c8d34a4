//! What a session says of itself: to people as lines of cargo's style, to programs as objects beside those of cargo.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anstyle::Style;
use anyhow::{Context as _, Result};
use serde::Serialize;

use super::project::Project;
use crate::console::{BAD, FAINT, GOOD, MessageFormat, NAME, WARNING, status};

/// Something that has happened. Programs tell it by `reason`, as they tell cargo's messages.
#[derive(Serialize)]
#[serde(tag = "reason")]
pub enum Note<'a> {
    #[serde(rename = "relib-watching")]
    Watching { host: &'a str, modules: Vec<&'a str> },
    /// Sources have changed, and a build starts.
    #[serde(rename = "relib-changed")]
    Changed { files: Vec<PathBuf> },
    /// The manifests cannot be read any more.
    #[serde(rename = "relib-project-unreadable")]
    ProjectUnreadable { error: String },
    /// Cargo has shown why.
    #[serde(rename = "relib-build-failed")]
    BuildFailed { host_runs: bool },
    #[serde(rename = "relib-rebuilt")]
    Rebuilt { module: &'a Path, seconds: f64 },
    /// A new module does not fit the host that runs.
    #[serde(rename = "relib-differs")]
    Differs { module: &'a Path, problem: String },
    /// A new host was built, and the one that runs is to stay.
    #[serde(rename = "relib-host-changed")]
    HostChanged,
    #[serde(rename = "relib-host-restarting")]
    HostRestarting,
    /// What the host asks of modules is not known, so that they are not compared.
    #[serde(rename = "relib-host-unreadable")]
    HostUnreadable { error: String },
    #[serde(rename = "relib-host-running")]
    HostRunning { program: &'a Path },
    #[serde(rename = "relib-host-ended")]
    HostEnded { status: String, success: bool },
}

/// How many files are named to people.
const SHOWN: usize = 3;

impl Note<'_> {
    /// Says it.
    ///
    /// # Errors
    /// When the program that reads standard output does so no longer.
    pub fn say(&self, format: MessageFormat, project: &Project) -> Result<()> {
        match format {
            MessageFormat::Human => {
                let (style, verb, text) = self.line(project);
                status(style, verb, text);
                Ok(())
            }
            MessageFormat::Json => {
                print_object(&serde_json::to_string(self).context("a note can be written as JSON")?)
            }
        }
    }

    fn line(&self, project: &Project) -> (Style, &'static str, String) {
        let shown = |path| project.shown(path).display().to_string();
        match self {
            Note::Watching { host, modules } => {
                let modules = modules.join("`, `");
                (GOOD, "Watching", format!("host `{host}`, module `{modules}`; Ctrl-C ends both"))
            }
            Note::Changed { files } => {
                let names: Vec<String> = files.iter().take(SHOWN).map(|path| shown(path)).collect();
                let more = if files.len() > SHOWN { ", ..." } else { "" };
                (NAME, "Changed", format!("{}{more}", names.join(", ")))
            }
            Note::ProjectUnreadable { error } => (BAD, "Failed", error.clone()),
            Note::BuildFailed { host_runs } => {
                let rest = if *host_runs {
                    "the host goes on with the build that it has"
                } else {
                    "waiting for a change"
                };
                (BAD, "Failed", format!("the errors are shown above; {rest}"))
            }
            Note::Rebuilt { module, seconds } => {
                (GOOD, "Rebuilt", format!("{} in {seconds:.1} s", shown(module)))
            }
            Note::Differs { problem, .. } => {
                (WARNING, "Differs", format!("from the running host: {problem}"))
            }
            Note::HostChanged => {
                (WARNING, "Changed", "the host itself has changed; start it again to see that".to_owned())
            }
            Note::HostRestarting => (NAME, "Restarting", "the host itself has changed".to_owned()),
            Note::HostUnreadable { error } => (WARNING, "Note", error.clone()),
            Note::HostRunning { program } => (GOOD, "Running", shown(program)),
            Note::HostEnded { status, success } => {
                let style = if *success { FAINT } else { BAD };
                (style, "Ended", format!("the host has ended with {status}; the next build starts it again"))
            }
        }
    }
}

/// Prints an object on a line of its own, whole: cargo's messages come from another thread.
pub fn print_object(object: &str) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{object}").context("nobody reads standard output any more")
}
