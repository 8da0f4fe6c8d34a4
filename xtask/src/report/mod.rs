//! The results of a matrix, printed for people, for programs and for CI servers.
//!
//! Nothing here runs anything or judges anything: a result says itself whether it passed.

pub mod human;
pub mod json;
pub mod junit;

use std::path::{Path, PathBuf};

use relib_harness::Platform;
use relib_harness::matrix::JobResult;
use relib_harness::snapshot::{Snapshots, Verdict};

/// Everything there is to print.
pub struct Summary<'a> {
    pub platform: Platform,
    pub snapshots: &'a Snapshots,
    pub root: &'a Path,
    pub results: &'a [JobResult],
}

impl Summary<'_> {
    pub fn passed(&self) -> usize {
        self.results.iter().filter(|result| result.passed()).count()
    }

    pub fn failed(&self) -> usize {
        self.results.len() - self.passed()
    }

    /// The snapshot of a result, relative to the root.
    fn snapshot(&self, result: &JobResult) -> PathBuf {
        let path = self.snapshots.path(result.profile, &result.scenario.id);
        path.strip_prefix(self.root).map(Path::to_path_buf).unwrap_or(path)
    }

    /// Why a result did not pass, in one sentence that says what to do; `None` when it passed.
    fn reason(&self, result: &JobResult) -> Option<String> {
        if result.passed() {
            return None;
        }
        let class = result.finished.outcome.ending.class();
        if !result.expected {
            return Some(if result.finished.outcome.is_ok() {
                "it is ok, though a limit is declared; take its .limit(...) away".to_owned()
            } else if class == "not-run" {
                "it could not be run; see the message".to_owned()
            } else {
                format!("it ended as {class}; mend it, or declare the limit with its footnote by .limit(...)")
            });
        }
        let path = self.snapshot(result);
        Some(match result.verdict {
            Verdict::New => format!("nothing is accepted in {} yet; accept it with --bless", path.display()),
            _ => format!("it differs from {}; mend it, or accept it with --bless", path.display()),
        })
    }
}
