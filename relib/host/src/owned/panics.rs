//! The last panic of a module.

use std::fmt;
use std::sync::Mutex;

use relib_interface::interface::PanicObserver;
use relib_interface::panics::ReceivedReport;

use crate::lock::lock;

/// A panic that a module's export raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PanicInfo {
    /// The panic's message; a description if its payload was not text.
    pub message: String,
    /// Where it happened; `None` if the module has replaced its panic hook.
    pub location: Option<PanicLocation>,
    /// The backtrace with the module's symbols; empty if the module has replaced its panic hook.
    pub backtrace: String,
}

/// A place in the module's source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PanicLocation {
    /// The source file as the compiler was given it.
    pub file: String,
    /// The line, counted from one.
    pub line: u32,
    /// The column, counted from one.
    pub column: u32,
}

impl fmt::Display for PanicLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Display for PanicInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Some(location) => write!(f, "panicked at {location}: {}", self.message),
            None => write!(f, "panicked: {}", self.message),
        }
    }
}

/// Keeps the report of the last panic, unresolved: symbols are only looked up when somebody asks.
#[derive(Debug, Default)]
pub(crate) struct PanicStore(Mutex<Option<ReceivedReport>>);

impl PanicObserver for PanicStore {
    fn panicked(&self, report: ReceivedReport) {
        let previous = lock(&self.0).replace(report);
        drop(previous);
    }
}

impl PanicStore {
    pub(crate) fn last(&self) -> Option<PanicInfo> {
        lock(&self.0).as_ref().map(|report| PanicInfo {
            message: report.message(),
            location: report.location().map(|(file, line, column)| PanicLocation { file, line, column }),
            backtrace: report.backtrace(),
        })
    }

    /// Releases the report, which lives in the module.
    pub(crate) fn clear(&self) {
        let previous = lock(&self.0).take();
        drop(previous);
    }
}
