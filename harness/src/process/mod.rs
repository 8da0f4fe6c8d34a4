//! Runs one scenario in a process of its own and classifies its end.
//!
//! It must not know what the scenario does, and takes its word for nothing but the report: a process that reports `ok`
//! and then dies of a signal has died of a signal.
//!
//! Each process gets a work directory of its own, which goes when it has ended:
//!
//! ```text
//! tmp/      TMPDIR of the process: what is left in it is a leak
//! scratch/  working directory, for the body's own files
//! report    see `report.rs`
//! stdout, stderr
//! ```

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::outcome::{Ending, Outcome};
use crate::redact::Redactor;
use crate::report::Report;
use crate::scenario::ScenarioInfo;

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod imp;

/// How many bytes of standard error are looked at, and how many of its lines are kept.
const STDERR_BYTES: u64 = 64 << 10;
const STDERR_LINES: usize = 20;

/// A runner executable with the fixtures it is to use.
#[derive(Debug, Clone)]
pub struct Runner {
    /// The executable, whose main function is [`crate::runner::main`].
    pub executable: PathBuf,
    /// The fixtures' manifest.
    pub manifest: PathBuf,
    /// The root of the workspace, for the redaction of paths.
    pub root: PathBuf,
    /// Folders below the root with what is shown in their place, for the redaction of paths.
    pub shown_folders: Vec<(PathBuf, &'static str)>,
    /// Environment variables for the process.
    pub environment: Vec<(String, String)>,
}

/// A scenario that was run.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended, redacted.
    pub outcome: Outcome,
    /// The last lines of its standard error as they were.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

/// What the system says about the end of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Exit {
    Code(i32),
    /// The name of the signal.
    Signal(String),
    Timeout(Duration),
}

/// The end of a process and of those that it started.
#[derive(Debug)]
struct End {
    exit: Exit,
    /// The names of the processes of its group that were still there; they have been killed.
    survivors: Vec<String>,
}

/// Runs one scenario to its end, whatever that is. Faults of the harness end as [`Ending::NotRun`], so that one of
/// them never ends a run of many.
pub fn run(runner: &Runner, scenario: &ScenarioInfo) -> Finished {
    let start = Instant::now();
    match try_run(runner, scenario) {
        Ok((outcome, stderr)) => Finished { outcome, stderr, took: start.elapsed() },
        Err(error) => Finished {
            outcome: Outcome::not_run(format!("cannot run {}: {error}", runner.executable.display())),
            stderr: String::new(),
            took: start.elapsed(),
        },
    }
}

fn try_run(runner: &Runner, scenario: &ScenarioInfo) -> io::Result<(Outcome, String)> {
    let work = WorkDir::create()?;
    let mut command = Command::new(&runner.executable);
    command
        .arg("run")
        .arg(&scenario.id)
        .arg("--manifest")
        .arg(&runner.manifest)
        .arg("--report")
        .arg(work.report())
        .arg("--scratch")
        .arg(work.scratch())
        .current_dir(work.scratch())
        .env("TMPDIR", work.temp())
        // Set by cargo and by people; each changes what a scenario does.
        .env_remove("RUST_BACKTRACE")
        .env_remove("RUST_LIB_BACKTRACE")
        .env_remove("LD_LIBRARY_PATH")
        .envs(runner.environment.iter().map(|(name, value)| (name, value)))
        .stdout(File::create(work.stdout())?)
        .stderr(File::create(work.stderr())?);

    let end = imp::run(command, &scenario.limits)?;
    let stderr = tail(&work.stderr())?;
    let report = Report::read(&work.report())?;
    let left = names(&work.temp())?;
    let redactor = runner
        .shown_folders
        .iter()
        .fold(Redactor::new(), |redactor, (folder, shown)| redactor.path(folder, shown));
    let redactor = redactor
        .path(&runner.root, "<root>")
        .path(&work.temp(), "<temp>")
        .path(&work.scratch(), "<scratch>")
        .path(work.path(), "<work>");
    let outcome = classify(end, report, &stderr, &left);
    Ok((outcome.redacted(&redactor), stderr))
}

/// Puts together what the system says, what the process reported and what it left behind.
fn classify(end: End, report: Report, stderr: &str, left: &[String]) -> Outcome {
    let stderr = stderr.to_owned();
    let ending = match (end.exit, report.ending) {
        (Exit::Timeout(after), _) => Ending::Timeout { after },
        (Exit::Signal(name), _) if name == "SIGABRT" => Ending::Abort { message: stderr },
        (Exit::Signal(name), _) => Ending::Signal { name, stderr },
        (Exit::Code(0), Some(ending)) => ending,
        (Exit::Code(code), _) => Ending::Exited { code, stderr },
    };
    let survivors = end.survivors.iter().map(|name| format!("process left behind: {name}"));
    let files = left.iter().map(|name| format!("file left behind: {name}"));
    let mut remains: Vec<String> = survivors.chain(files).collect();
    let ending = match ending {
        Ending::Ok if !remains.is_empty() => Ending::Leak { what: remains },
        Ending::Leak { mut what } => {
            what.append(&mut remains);
            Ending::Leak { what }
        }
        other => other,
    };
    Outcome { ending, observations: report.observations }
}

/// The directory of one process.
struct WorkDir(tempfile::TempDir);

impl WorkDir {
    fn create() -> io::Result<WorkDir> {
        let work = WorkDir(tempfile::Builder::new().prefix("relib-scenario-").tempdir()?);
        fs::create_dir(work.temp())?;
        fs::create_dir(work.scratch())?;
        Ok(work)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn temp(&self) -> PathBuf {
        self.path().join("tmp")
    }

    fn scratch(&self) -> PathBuf {
        self.path().join("scratch")
    }

    fn report(&self) -> PathBuf {
        self.path().join("report")
    }

    fn stdout(&self) -> PathBuf {
        self.path().join("stdout")
    }

    fn stderr(&self) -> PathBuf {
        self.path().join("stderr")
    }
}

/// The last lines of a file that may be huge.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(STDERR_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(STDERR_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    Ok(lines[lines.len().saturating_sub(STDERR_LINES)..].join("\n"))
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    let mut names: Vec<OsString> = entries.iter().map(fs::DirEntry::file_name).collect();
    names.sort();
    Ok(names.iter().map(|name: &OsString| OsStr::to_string_lossy(name).into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(exit: Exit, ending: Option<Ending>, left: &[String]) -> &'static str {
        let report = Report { observations: Vec::new(), ending };
        classify(End { exit, survivors: Vec::new() }, report, "why", left).ending.class()
    }

    #[test]
    fn the_end_of_the_process_outweighs_its_report() {
        assert_eq!(class(Exit::Code(0), Some(Ending::Ok), &[]), "ok");
        assert_eq!(class(Exit::Code(0), None, &[]), "exited");
        assert_eq!(class(Exit::Code(1), Some(Ending::Ok), &[]), "exited");
        assert_eq!(class(Exit::Signal("SIGSEGV".into()), Some(Ending::Ok), &[]), "signal");
        assert_eq!(class(Exit::Signal("SIGABRT".into()), None, &[]), "abort");
        assert_eq!(class(Exit::Timeout(Duration::ZERO), Some(Ending::Ok), &[]), "timeout");
    }

    #[test]
    fn what_is_left_spoils_only_what_was_ok() {
        let left = ["relib-x".to_owned()];
        let failed = Ending::Failed { message: String::new() };
        assert_eq!(class(Exit::Code(0), Some(Ending::Ok), &left), "leak");
        assert_eq!(class(Exit::Code(0), Some(failed), &left), "failed");
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stderr");
        let text: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
        fs::write(&path, text).unwrap();
        let tail = tail(&path).unwrap();
        assert_eq!(tail.lines().count(), STDERR_LINES);
        assert!(tail.ends_with("line 19999"));
    }
}
