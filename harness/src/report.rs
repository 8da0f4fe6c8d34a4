//! The report a scenario's process leaves behind: one JSON event a line, written as things happen, so that a crash
//! keeps what was before it.
//!
//! It must not know how the process ended; [`crate::process`] puts the two together.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::outcome::{Ending, Observation};

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event<'a> {
    /// The body made an observation.
    Observed {
        /// What was observed.
        key: Cow<'a, str>,
        /// The value.
        value: Cow<'a, str>,
    },
    /// The body ended; nothing of the scenario runs after this line.
    Ended {
        /// How it ended, as far as the process itself can tell.
        ending: Ending,
    },
}

/// Writes a report.
#[derive(Debug)]
pub struct ReportWriter {
    file: File,
}

impl ReportWriter {
    /// Creates the report.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path) -> io::Result<ReportWriter> {
        Ok(ReportWriter { file: File::create(path)? })
    }

    /// Appends an event in a single write.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, event: &Event<'_>) -> io::Result<()> {
        let mut line = serde_json::to_vec(event).map_err(io::Error::other)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }
}

/// A report read back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What was observed, in order.
    pub observations: Vec<Observation>,
    /// How the body ended, if it got that far.
    pub ending: Option<Ending>,
}

impl Report {
    /// Reads a report. A process that died before it created one has an empty report; a last line that is cut off is
    /// no event.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(path: &Path) -> io::Result<Report> {
        let text = match std::fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Report::default()),
            Err(error) => return Err(error),
        };
        let mut report = Report::default();
        for event in text.lines().map_while(|line| serde_json::from_str::<Event<'_>>(line).ok()) {
            match event {
                Event::Observed { key, value } => {
                    report.observations.push(Observation { key: key.into_owned(), value: value.into_owned() })
                }
                Event::Ended { ending } => report.ending = Some(ending),
            }
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_off_report_keeps_what_was_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report");
        let mut writer = ReportWriter::create(&path).unwrap();
        writer.write(&Event::Observed { key: "a".into(), value: "1\n2".into() }).unwrap();
        writer.write(&Event::Ended { ending: Ending::Ok }).unwrap();
        assert_eq!(Report::read(&path).unwrap().ending, Some(Ending::Ok));

        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
        let report = Report::read(&path).unwrap();
        assert_eq!(report.observations, [Observation { key: "a".into(), value: "1\n2".into() }]);
        assert_eq!(report.ending, None);
    }

    #[test]
    fn no_report_is_an_empty_one() {
        assert_eq!(Report::read(Path::new("/nonexistent/report")).unwrap(), Report::default());
    }
}
