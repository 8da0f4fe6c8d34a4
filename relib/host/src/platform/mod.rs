//! The platform, behind one interface: everything that asks the operating system or its dynamic loader for something.
//!
//! Each platform has a folder with the same items; the platform is picked here and nowhere else. Nothing in a
//! platform's folder decides what relib does: it only knows how.

use std::fs::{File, Metadata};
use std::path::PathBuf;
use std::sync::Arc;

/// A regular file that is open for reading.
#[derive(Clone, Debug)]
pub(crate) struct OpenedFile {
    /// The path that leads to it without links.
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    /// As it was when it was opened.
    pub(crate) metadata: Metadata,
}

#[cfg(target_os = "linux")]
#[path = "linux/mod.rs"]
mod platform;

#[cfg(windows)]
#[path = "windows/mod.rs"]
mod platform;

pub(crate) use platform::*;

#[cfg(not(any(target_os = "linux", windows)))]
compile_error!("relib supports Linux and Windows for now");
