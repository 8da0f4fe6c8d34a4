//! Opening a file by its path, and verifying its form: the two first steps of whatever looks at one.

use std::fs::File;
use std::io;
use std::path::Path;

use relib_abi::symbol;

use super::error::LoadError;
use crate::image::{self, ImageFile};
use crate::platform::{self, OpenedFile};

/// Opens a file by the path that leads to it without links; never by a search in library paths.
pub(crate) fn open(path: &Path) -> Result<OpenedFile, LoadError> {
    let failed = |source: io::Error| {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => LoadError::Missing { path, source },
            _ => LoadError::Inaccessible { path, source },
        }
    };
    let opened = platform::open_regular_file(path).map_err(failed)?;
    opened.ok_or_else(|| LoadError::NotAFile { path: path.to_owned() })
}

/// Checks the form of a file, whatever host loads it. The outer error says that it cannot be read.
pub(crate) fn verify(file: &File, path: &Path) -> Result<Result<ImageFile, LoadError>, LoadError> {
    let verdict = image::inspect_file(file, symbol::PREFIX)
        .map_err(|source| LoadError::Inaccessible { path: path.to_owned(), source })?;
    Ok(verdict.map_err(|error| LoadError::of_image(path.to_owned(), error)))
}
