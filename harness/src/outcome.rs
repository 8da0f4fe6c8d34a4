//! How a scenario ended, as plain data, and its text in a snapshot.
//!
//! It must not know how the end was found out, so that the crashes of every platform can be rendered on any.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::redact::Redactor;

/// A line that the body of a scenario recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// What was observed.
    pub key: String,
    /// The value.
    pub value: String,
}

/// The way a scenario ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "class")]
pub enum Ending {
    /// The body returned `Ok`, and nothing was left behind.
    Ok,
    /// The body returned a failure.
    Failed {
        /// Its message.
        message: String,
    },
    /// The body panicked.
    Panicked {
        /// The payload, if it was text.
        message: String,
        /// `file:line:column`
        location: String,
    },
    /// A signal other than `SIGABRT` ended the process.
    Signal {
        /// `SIGSEGV`, ...
        name: String,
        /// The last lines of standard error.
        stderr: String,
    },
    /// The process aborted itself.
    Abort {
        /// The last lines of standard error, where the reason is.
        message: String,
    },
    /// The process exited without the body having ended, or with another code than 0 afterwards.
    Exited {
        /// The exit code.
        code: i32,
        /// The last lines of standard error.
        stderr: String,
    },
    /// The process was killed at its time limit.
    Timeout {
        /// The limit.
        after: Duration,
    },
    /// The body returned `Ok`, but something was left behind.
    Leak {
        /// One line for each thing.
        what: Vec<String>,
    },
    /// The process could not be started or watched: a fault of the harness or of the machine.
    NotRun {
        /// Why.
        message: String,
    },
}

impl Ending {
    /// The word after `outcome:` in a snapshot.
    pub const fn class(&self) -> &'static str {
        match self {
            Ending::Ok => "ok",
            Ending::Failed { .. } => "failed",
            Ending::Panicked { .. } => "panicked",
            Ending::Signal { .. } => "signal",
            Ending::Abort { .. } => "abort",
            Ending::Exited { .. } => "exited",
            Ending::Timeout { .. } => "timeout",
            Ending::Leak { .. } => "leak",
            Ending::NotRun { .. } => "not-run",
        }
    }

    /// The details as key and value, in the order of the snapshot.
    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            Ending::Ok => Vec::new(),
            Ending::Failed { message } | Ending::Abort { message } | Ending::NotRun { message } => {
                vec![("message", message.clone())]
            }
            Ending::Panicked { message, location } => {
                vec![("message", message.clone()), ("location", location.clone())]
            }
            Ending::Signal { name, stderr } => vec![("signal", name.clone()), ("stderr", stderr.clone())],
            Ending::Exited { code, stderr } => vec![("code", code.to_string()), ("stderr", stderr.clone())],
            Ending::Timeout { after } => vec![("after", format!("{} s", after.as_secs_f64()))],
            Ending::Leak { what } => what.iter().map(|line| ("leak", line.clone())).collect(),
        }
    }
}

/// The first line of the snapshot of a scenario that passed.
pub const OK_LINE: &str = "outcome: ok";

/// How a scenario ended and what it had observed by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The way it ended.
    pub ending: Ending,
    /// What the body recorded, in order; a crash keeps what was before it.
    pub observations: Vec<Observation>,
}

impl Outcome {
    /// An outcome of a scenario that could not be run.
    pub fn not_run(message: impl Into<String>) -> Outcome {
        Outcome { ending: Ending::NotRun { message: message.into() }, observations: Vec::new() }
    }

    /// Whether the scenario passed.
    pub fn is_ok(&self) -> bool {
        self.ending == Ending::Ok
    }

    /// The same outcome without what differs between two runs.
    #[must_use]
    pub fn redacted(mut self, redactor: &Redactor) -> Outcome {
        match &mut self.ending {
            Ending::Ok | Ending::Timeout { .. } => {}
            Ending::Failed { message } | Ending::Abort { message } | Ending::NotRun { message } => {
                *message = redactor.apply(message);
            }
            Ending::Panicked { message, location } => {
                *message = redactor.apply(message);
                *location = redactor.apply(location);
            }
            Ending::Signal { stderr, .. } | Ending::Exited { stderr, .. } => *stderr = redactor.apply(stderr),
            Ending::Leak { what } => what.iter_mut().for_each(|line| *line = redactor.apply(line)),
        }
        for observation in &mut self.observations {
            observation.value = redactor.apply(&observation.value);
        }
        self
    }

    /// The text of the snapshot: `outcome: CLASS`, then lines of `key: value`; further lines of a value are indented.
    pub fn render(&self) -> String {
        let mut text = format!("outcome: {}\n", self.ending.class());
        for (key, value) in self.ending.details() {
            push_entry(&mut text, key, &value);
        }
        for Observation { key, value } in &self.observations {
            push_entry(&mut text, key, value);
        }
        text
    }
}

fn push_entry(text: &mut String, key: &str, value: &str) {
    let value = value.trim_end();
    if value.contains('\n') {
        let _ = writeln!(text, "{key}:");
        for line in value.lines() {
            let _ = writeln!(text, "{}", format!("  {line}").trim_end());
        }
    } else {
        let _ = writeln!(text, "{}", format!("{key}: {value}").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ok_outcome_starts_with_the_line_the_table_looks_for() {
        let outcome = Outcome {
            ending: Ending::Ok,
            observations: vec![
                Observation { key: "sum".into(), value: "3".into() },
                Observation { key: "lines".into(), value: "a\n\nb\n".into() },
                Observation { key: "empty".into(), value: String::new() },
            ],
        };
        assert_eq!(outcome.render(), "outcome: ok\nsum: 3\nlines:\n  a\n\n  b\nempty:\n");
        assert_eq!(outcome.render().lines().next(), Some(OK_LINE));
    }

    #[test]
    fn every_ending_renders_its_details() {
        let render = |ending| Outcome { ending, observations: Vec::new() }.render();
        assert_eq!(
            render(Ending::Panicked { message: "no".into(), location: "a.rs:1:2".into() }),
            "outcome: panicked\nmessage: no\nlocation: a.rs:1:2\n"
        );
        assert_eq!(
            render(Ending::Signal { name: "SIGSEGV".into(), stderr: String::new() }),
            "outcome: signal\nsignal: SIGSEGV\nstderr:\n"
        );
        assert_eq!(
            render(Ending::Timeout { after: Duration::from_millis(1500) }),
            "outcome: timeout\nafter: 1.5 s\n"
        );
        assert_eq!(
            render(Ending::Leak { what: vec!["a".into(), "b".into()] }),
            "outcome: leak\nleak: a\nleak: b\n"
        );
        assert_eq!(
            render(Ending::Exited { code: 3, stderr: "x\ny\n".into() }),
            "outcome: exited\ncode: 3\nstderr:\n  x\n  y\n"
        );
    }

    #[test]
    fn an_outcome_survives_json() {
        let outcome = Outcome {
            ending: Ending::Timeout { after: Duration::from_secs(2) },
            observations: vec![Observation { key: "k".into(), value: "v".into() }],
        };
        let text = serde_json::to_string(&outcome).unwrap();
        assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
    }
}
