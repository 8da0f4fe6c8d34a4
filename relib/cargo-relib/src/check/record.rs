//! What a worker says while it works: one JSON object a line, so that all of it but the last line survives whatever the
//! module does to the process.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What has happened in a worker, or is about to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The worker is about to do this, in this cycle, counted from one.
    Step { cycle: u64, step: Step },
    /// The module was not loaded.
    LoadFailed { error: String },
    /// `main` panicked; the text says where.
    MainPanicked { text: String },
    /// The module was not unloaded before a thread of the host was released.
    NeedsRelease { error: String },
    /// The module was not unloaded.
    UnloadFailed { kind: Refusal, error: String },
    /// The module was unloaded.
    Unloaded(Reclaimed),
    /// The process holds more than after the first cycles.
    Grown { cycles: u64, leaks: Vec<Growth> },
    /// The worker itself failed.
    Failed { error: String },
    /// All cycles are done, and the process is about to end.
    Finished,
}

/// A part of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    Load,
    Main,
    Unload,
}

impl Step {
    /// As a part of a sentence: "while ...".
    pub fn doing(self) -> &'static str {
        match self {
            Step::Load => "the module was being loaded",
            Step::Main => "`main` was running",
            Step::Unload => "the module was being unloaded",
        }
    }
}

/// Why a module was not unloaded: which of relib's errors it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    Threads,
    ThreadLocals,
    SignalHandlers,
    BeforeUnload,
    ImageStayed,
    Other,
}

/// What relib took back from a module at an unload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reclaimed {
    pub memory_bytes: usize,
    pub memory_blocks: usize,
    pub mappings: usize,
    pub keys: usize,
    /// Left open by relib, which cannot know who uses them.
    pub descriptors: Vec<String>,
}

/// Something that a process holds more of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growth {
    pub kind: GrowthKind,
    pub text: String,
    /// How often the same was found.
    pub count: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrowthKind {
    Threads,
    Descriptors,
    Memory,
    Other,
}

/// Where a worker writes its records.
pub struct Writer(File);

impl Writer {
    pub fn create(path: &Path) -> io::Result<Writer> {
        File::create(path).map(Writer)
    }

    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}

impl Record {
    /// Reads what a worker has written before it ended.
    pub fn read(path: &Path) -> io::Result<Vec<Record>> {
        let file = match File::open(path) {
            Ok(file) => file,
            // It ended before it came to that.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut records = Vec::new();
        for line in BufReader::new(file).lines() {
            match serde_json::from_str(&line?) {
                Ok(record) => records.push(record),
                // The worker was killed in the middle of the line.
                Err(_) => break,
            }
        }
        Ok(records)
    }
}
