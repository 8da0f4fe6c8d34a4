//! What the thread of `cargo relib dev` waits for.

use std::path::PathBuf;

use anyhow::Result;

use super::build::Build;
use super::host::End;

/// Something that happens while the host runs.
pub enum Event {
    /// A source has changed.
    Changed(PathBuf),
    /// A build has ended.
    Built(Result<Build>),
    /// A host has ended.
    Ended(End),
    /// Ctrl-C, or a request to end.
    Interrupted,
}
