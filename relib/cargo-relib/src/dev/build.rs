//! One build by cargo, in the background. Cargo shows what the compiler says; what it has made comes as its messages.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Artifact, Message, TargetKind};

use super::note::print_object;
use super::project::Project;

/// How a build has ended.
pub enum Build {
    Made(Built),
    /// Cargo has shown why.
    Failed,
}

/// What a build has made or found up to date.
#[derive(Clone)]
pub struct Built {
    pub host: Made,
    /// The libraries of the modules.
    pub modules: Vec<Made>,
    pub took: Duration,
}

/// A file that cargo has made, in this build or before.
#[derive(Clone, PartialEq, Eq)]
pub struct Made {
    pub path: PathBuf,
    /// Tells it from what was there before. What cargo says about it is not enough: in a build that fails, some of the
    /// files are made.
    modified: Option<SystemTime>,
}

impl Made {
    fn new(path: PathBuf) -> Made {
        let modified = path.metadata().and_then(|metadata| metadata.modified()).ok();
        Made { path, modified }
    }
}

/// Builds host and modules, in one go: built one by one, the crates that they share could get different features, and
/// then have different types.
///
/// The first build shows its progress, because it takes long; later ones show only what is wrong. If `passes_on`, what the
/// compiler says goes to standard output, in cargo's own messages.
pub fn start(
    project: &Project,
    is_first: bool,
    passes_on: bool,
    done: impl FnOnce(Result<Build>) + Send + 'static,
) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["build", "--message-format"])
        .arg(if passes_on { "json" } else { "json-render-diagnostics" })
        .arg("--manifest-path")
        .arg(&project.manifest);
    for member in [&project.host].into_iter().chain(&project.modules) {
        command.args(["--package", &member.name]);
    }
    command.args(project.release.then_some("--release")).args((!is_first).then_some("--quiet"));
    let host = project.host.id.clone();
    let modules: Vec<_> = project.modules.iter().map(|module| module.id.clone()).collect();
    let mut build = move || -> Result<Build> {
        let start = Instant::now();
        let mut cargo = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run cargo; is it in PATH?")?;
        let messages = cargo.stdout.take().expect("the output is piped");
        let mut program = None;
        let mut made = Vec::new();
        for line in BufReader::new(messages).lines() {
            let line = line.context("cannot read the messages of cargo")?;
            if passes_on {
                print_object(&line)?;
            }
            // Other lines are what build scripts and procedural macros print.
            let Ok(Message::CompilerArtifact(artifact)) = serde_json::from_str(&line) else {
                continue;
            };
            if artifact.package_id == host && artifact.target.is_bin() {
                program = artifact.executable;
            } else if modules.contains(&artifact.package_id) {
                made.extend(library(&artifact));
            }
        }
        if !cargo.wait().context("cannot wait for cargo")?.success() {
            return Ok(Build::Failed);
        }
        let Some(program) = program else {
            bail!("cargo has built no program for the host");
        };
        let host = Made::new(program.into_std_path_buf());
        let modules = made.into_iter().map(Made::new).collect();
        Ok(Build::Made(Built { host, modules, took: start.elapsed() }))
    };
    thread::Builder::new()
        .name("build".to_owned())
        .spawn(move || done(build()))
        .context("cannot start a thread for the build")?;
    Ok(())
}

/// The dynamic library of a module, among the files that belong to it.
fn library(artifact: &Artifact) -> Option<PathBuf> {
    let is_library = artifact.target.kind.contains(&TargetKind::CDyLib);
    let mut files = artifact.filenames.iter().filter(|_| is_library);
    files
        .find(|file| file.extension() == Some(std::env::consts::DLL_EXTENSION))
        .map(|file| file.as_std_path().to_owned())
}
