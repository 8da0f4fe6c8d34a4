//! What the body of a scenario gets to work with.
//!
//! It must not know what the scenario is called or expected to come to.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::axes::Profile;
use crate::failure::Failure;
use crate::fixtures::Fixtures;
use crate::probe::{self, Leak, Probe, Tolerance};
use crate::report::{Event, ReportWriter};

/// The two directories of one run.
#[derive(Debug, Clone)]
pub struct Directories {
    /// `TMPDIR` of the process; what is left in it at the end is a leak.
    pub temp: PathBuf,
    /// For the body's own files, and the working directory; nobody looks at what is left in it.
    pub scratch: PathBuf,
}

/// What the body of a scenario gets.
#[derive(Debug)]
pub struct Run {
    fixtures: Fixtures,
    directories: Directories,
    report: ReportWriter,
    baseline: Option<Probe>,
    tolerance: Tolerance,
}

/// Tells the scenario that loads mutated files how many to try.
pub const MUTATIONS_VARIABLE: &str = "RELIB_HARNESS_MUTATIONS";

/// Tells the process of a scenario that a sanitizer watches it.
pub const SANITIZED_VARIABLE: &str = "RELIB_HARNESS_SANITIZED";

/// Whether a sanitizer watches this process.
pub fn is_sanitized() -> bool {
    std::env::var_os(SANITIZED_VARIABLE).is_some()
}

impl Run {
    /// A run over these fixtures and directories which reports there.
    pub fn new(fixtures: Fixtures, directories: Directories, report: ReportWriter) -> Run {
        let tolerance = if is_sanitized() { Tolerance::sanitized() } else { Tolerance::default() };
        Run { fixtures, directories, report, baseline: None, tolerance }
    }

    /// Whether a sanitizer watches this process: then memory that was freed is kept for a while, and sizes of the
    /// process say nothing.
    pub fn is_sanitized(&self) -> bool {
        is_sanitized()
    }

    /// The path of a fixture's library. `-` and `_` in the name are the same.
    ///
    /// # Panics
    /// When there is no such fixture; the message lists those there are.
    #[track_caller]
    pub fn fixture(&self, name: &str) -> PathBuf {
        match self.fixtures.path(name) {
            Ok(path) => path.to_owned(),
            Err(error) => panic!("{error}"),
        }
    }

    /// The private directory that `TMPDIR` points to. Whatever is left in it at the end of the process is reported as
    /// a leak; the body's own files belong into [`Run::scratch_dir`].
    pub fn temp_dir(&self) -> &Path {
        &self.directories.temp
    }

    /// A private directory for the body's own files, which is also the working directory; may be left as it is.
    pub fn scratch_dir(&self) -> &Path {
        &self.directories.scratch
    }

    /// The profile that the fixtures and this executable were built in.
    pub fn profile(&self) -> Profile {
        self.fixtures.profile()
    }

    /// Records a line of the snapshot. It is in the report at once, so that a later crash does not lose it.
    ///
    /// # Panics
    /// When the report cannot be written.
    pub fn observe(&mut self, key: &str, value: impl fmt::Display) {
        let event = Event::Observed { key: Cow::Borrowed(key), value: Cow::Owned(value.to_string()) };
        self.report.write(&event).expect("the report of the scenario should be writable");
    }

    /// Fails with this message unless the condition holds.
    ///
    /// # Errors
    /// When the condition does not hold.
    pub fn check(&self, holds: bool, message: impl Into<String>) -> Result<(), Failure> {
        if holds { Ok(()) } else { Err(Failure::new(message)) }
    }

    /// Fails with both values unless they are equal.
    ///
    /// # Errors
    /// When the values differ.
    pub fn check_eq<A, B>(&self, what: &str, found: A, expected: B) -> Result<(), Failure>
    where
        A: PartialEq<B> + fmt::Debug,
        B: fmt::Debug,
    {
        if found == expected {
            Ok(())
        } else {
            Err(Failure::new(format!("{what}: found {found:?}, expected {expected:?}")))
        }
    }

    /// Takes the probe that the state at the end of the scenario is compared with. To be called after the warm-up
    /// (first load, first panic, first thread), since those leave caches of the host behind that are nobody's leak.
    ///
    /// The first thread of a process and the first scope, for which std creates keys, are part of this.
    ///
    /// # Panics
    /// When no thread can be started or `/proc` cannot be read.
    pub fn baseline(&mut self) {
        probe::run_a_thread().expect("an empty thread should start and end");
        std::thread::scope(|scope| _ = scope.spawn(|| ()));
        self.baseline = Some(Probe::take().expect("the state of the process should be readable"));
    }

    /// How much may have grown since the baseline.
    pub fn tolerance(&mut self) -> &mut Tolerance {
        &mut self.tolerance
    }

    /// What leaked since the baseline; nothing if none was taken. Waits for what is just about to go.
    pub(crate) fn leaks(&self) -> Option<std::io::Result<Vec<Leak>>> {
        self.baseline.as_ref().map(|baseline| baseline.leaks_now(&self.tolerance))
    }

    /// Ends the run and gives the report back.
    pub(crate) fn into_report(self) -> ReportWriter {
        self.report
    }
}
