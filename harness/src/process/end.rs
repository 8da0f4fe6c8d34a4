//! What a platform is told of a process before it begins, and tells of its end.

use std::time::Duration;

/// Tells a process its directory for temporary files: `TMPDIR` is of the program that it is started through, if any.
pub(super) const TEMP_VARIABLE: &str = "RELIB_HARNESS_TEMP";

/// What the system says about the end of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It ended by itself, with this code.
    Code(i32),
    /// It was killed by the signal of this name.
    Signal(String),
    /// It was killed after this time.
    Timeout(Duration),
}

/// The end of a process and of those that it started.
#[derive(Debug)]
pub(super) struct End {
    pub(super) exit: Exit,
    /// The names of the processes that it had started and that were still there; they have been killed.
    pub(super) survivors: Vec<String>,
}
