//! The file verifier: bytes in, verdict out, nothing mapped and nothing run.
//!
//! The dynamic loader of the operating system trusts the files it is given: one wrong byte in a program header or
//! in the dynamic section makes it read, write or jump anywhere. [`inspect_file`] therefore checks everything that the
//! loader is going to read, before the loader sees the file. What it learns on the way (import slots, exports,
//! relib's metadata) is returned as an [`ImageFile`], so that the file is parsed once.
//!
//! `elf` knows ELF and `pe` knows PE; a format is picked by the platform, because a platform loads one format only.
//! It must not know where a file comes from, nor what is done with it: the fuzz targets compile this room alone.

mod contents;
#[cfg(not(windows))]
pub(crate) mod elf;
mod error;
#[cfg(any(windows, test, fuzzing))]
pub(crate) mod pe;
pub(crate) mod source;
#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::fs::File;
use std::io;

pub(crate) use contents::{ImageFile, TlsTemplate};
#[cfg(not(windows))]
use elf as format;
pub(crate) use error::ImageError;
#[cfg(windows)]
use pe as format;

/// Verifies the library in `file`, and returns what loading it needs to know.
///
/// Exports are collected if their names start with `export_prefix`. The file is read and not mapped: a mapping raises
/// SIGBUS if the file is cut while it is mapped.
pub(crate) fn inspect_file(file: &File, export_prefix: &str) -> io::Result<Result<ImageFile, ImageError>> {
    format::inspect_file(file, export_prefix)
}
