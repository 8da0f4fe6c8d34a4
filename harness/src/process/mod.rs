//! Runs a process that may do anything, and one scenario in such a process, whose end it classifies.
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

use crate::limits::Limits;
use crate::outcome::{Ending, Outcome};
use crate::redact::Redactor;
use crate::report::Report;
use crate::scenario::ScenarioInfo;

mod end;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod imp;
#[cfg(windows)]
#[path = "windows.rs"]
mod imp;

use end::{End, TEMP_VARIABLE};

pub use end::Exit;
pub use imp::adopt_temporary_directory;

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
    /// A program that the executable is started through, such as Wine, for one that this system cannot run itself.
    pub launcher: Option<PathBuf>,
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

/// A contained process that has ended.
#[derive(Debug)]
pub struct Contained {
    /// How it ended.
    pub exit: Exit,
    /// The names of the processes of its group that were still there; they have been killed.
    pub survivors: Vec<String>,
    /// The last lines of its standard error.
    pub stderr: String,
    /// The same without the frames of backtraces.
    pub stderr_without_frames: String,
    /// The names of what it left in its directory for temporary files.
    pub left: Vec<String>,
}

/// Runs a command to its end in a work directory: in a process group of its own, within limits, without input, with its
/// output kept, and with a private directory for temporary files. A `TMPDIR` that the command has stays.
///
/// # Errors
/// When the process cannot be started or watched.
pub fn contain(mut command: Command, work: &WorkDir, limits: &Limits) -> io::Result<Contained> {
    let keeps_its_own = command.get_envs().any(|(name, _)| name == "TMPDIR");
    if !keeps_its_own {
        command.env("TMPDIR", work.temp());
    }
    command
        .current_dir(work.scratch())
        .env(TEMP_VARIABLE, work.temp())
        .stdout(File::create(work.stdout())?)
        .stderr(File::create(work.stderr())?);
    let End { exit, survivors } = imp::run(command, limits)?;
    let written = last_bytes(&work.stderr())?;
    Ok(Contained {
        exit,
        survivors,
        stderr: last_lines(written.lines()),
        stderr_without_frames: last_lines(without_frames(written.lines())),
        left: names(&work.temp())?,
    })
}

/// Gives another process of a scenario's, which runs the same executable, a directory for temporary files.
pub fn set_temporary_directory(command: &mut Command, directory: &Path) {
    command.env("TMPDIR", directory).env(TEMP_VARIABLE, directory);
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
    let mut command = match &runner.launcher {
        Some(launcher) => {
            let mut command = Command::new(launcher);
            command.arg(&runner.executable);
            command
        }
        None => Command::new(&runner.executable),
    };
    command
        .arg("run")
        .arg(&scenario.id)
        .arg("--manifest")
        .arg(&runner.manifest)
        .arg("--report")
        .arg(work.report())
        .arg("--scratch")
        .arg(work.scratch())
        // Set by cargo and by people; each changes what a scenario does.
        .env_remove("RUST_BACKTRACE")
        .env_remove("RUST_LIB_BACKTRACE")
        .env_remove("LD_LIBRARY_PATH")
        .envs(runner.environment.iter().map(|(name, value)| (name, value)));

    let mut ended = contain(command, &work, &scenario.limits)?;
    if runner.launcher.is_some() {
        ended.exit = windows_exit(ended.exit);
    }
    let stderr = ended.stderr.clone();
    let report = Report::read(&work.report())?;
    let redactor = runner
        .shown_folders
        .iter()
        .fold(Redactor::new(), |redactor, (folder, shown)| redactor.path(folder, shown));
    let places = [
        (runner.root.clone(), "<root>"),
        (work.temp(), "<temp>"),
        (work.scratch(), "<scratch>"),
        (work.path().to_owned(), "<work>"),
    ];
    let redactor = places.iter().fold(redactor, |redactor, (path, placeholder)| {
        let redactor = redactor.path(path, placeholder);
        if runner.launcher.is_some() { redactor.wine_path(path, placeholder) } else { redactor }
    });
    let outcome = classify(ended, report);
    Ok((outcome.redacted(&redactor), stderr))
}

/// What a Windows process ended by, of whose status Wine passes on the lowest byte.
fn windows_exit(exit: Exit) -> Exit {
    /// Of `STATUS_STACK_BUFFER_OVERRUN`, by which a process that fails fast ends, as std aborts.
    const FAIL_FAST: i32 = 0xc000_0409_u32 as u8 as i32;
    match exit {
        Exit::Code(FAIL_FAST) => Exit::Signal("SIGABRT".to_owned()),
        other => other,
    }
}

/// Puts together what the system says, what the process reported and what it left behind.
fn classify(ended: Contained, report: Report) -> Outcome {
    let Contained { exit, survivors, stderr_without_frames: stderr, left, .. } = ended;
    let ending = match (exit, report.ending) {
        (Exit::Timeout(after), _) => Ending::Timeout { after },
        (Exit::Signal(name), _) if name == "SIGABRT" => Ending::Abort { message: stderr },
        (Exit::Signal(name), _) => Ending::Signal { name, stderr },
        (Exit::Code(0), Some(ending)) => ending,
        (Exit::Code(code), _) => Ending::Exited { code, stderr },
    };
    let survivors = survivors.iter().map(|name| format!("process left behind: {name}"));
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
#[derive(Debug)]
pub struct WorkDir(tempfile::TempDir);

impl WorkDir {
    /// Makes a new one, which goes when it is dropped.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create() -> io::Result<WorkDir> {
        let work = WorkDir(tempfile::Builder::new().prefix("relib-scenario-").tempdir()?);
        fs::create_dir(work.temp())?;
        fs::create_dir(work.scratch())?;
        Ok(work)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn temp(&self) -> PathBuf {
        self.path().join("tmp")
    }

    /// The working directory of the process.
    pub fn scratch(&self) -> PathBuf {
        self.path().join("scratch")
    }

    /// Where the process writes its report.
    pub fn report(&self) -> PathBuf {
        self.path().join("report")
    }

    fn stdout(&self) -> PathBuf {
        self.path().join("stdout")
    }

    fn stderr(&self) -> PathBuf {
        self.path().join("stderr")
    }
}

/// The end of a file that may be huge, as text.
fn last_bytes(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(STDERR_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(STDERR_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

fn last_lines<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<&str> = lines.collect();
    lines[lines.len().saturating_sub(STDERR_LINES)..].join("\n")
}

/// The lines without the frames of backtraces, which differ between compilers. A second panic during the unwinding of the
/// first prints one that nobody has asked for.
fn without_frames<'a>(lines: impl Iterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    let is_frame = |line: &str| {
        let text = line.trim_start();
        let number = text.split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        text.len() < line.len() && (number || text.starts_with("at "))
    };
    let mut in_backtrace = false;
    lines.filter(move |line| {
        in_backtrace = *line == "stack backtrace:" || (in_backtrace && is_frame(line));
        !(in_backtrace && is_frame(line))
    })
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
        let ended = Contained {
            exit,
            survivors: Vec::new(),
            stderr: "why".into(),
            stderr_without_frames: "why".into(),
            left: left.to_vec(),
        };
        classify(ended, report).ending.class()
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
        let tail = last_lines(last_bytes(&path).unwrap().lines());
        assert_eq!(tail.lines().count(), STDERR_LINES);
        assert!(tail.ends_with("line 19999"));
    }

    #[test]
    fn frames_of_backtraces_are_left_out() {
        let text = "  1: one\nstack backtrace:\n   0:     0x55 - a::b\n             at /a.rs:1\n  12: c\nnote: x\n  2: two";
        assert_eq!(last_lines(without_frames(text.lines())), "  1: one\nstack backtrace:\nnote: x\n  2: two");
    }
}
