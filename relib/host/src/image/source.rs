//! Bounded reading from the file under inspection.

use std::fmt::Display;
use std::marker::PhantomData;

use object::pod::{self, Pod};
use object::read::ReadRef;

use super::error::{ImageError, Result, malformed};

/// The bytes of a file: every read is checked against the file's length before anything is allocated for it.
pub(crate) struct Source<'data, R> {
    data: R,
    len: u64,
    lifetime: PhantomData<&'data [u8]>,
}

impl<'data, R: ReadRef<'data>> Source<'data, R> {
    /// Reads from `data`, which is `len` bytes long.
    pub(crate) fn new(data: R, len: u64) -> Self {
        Self { data, len, lifetime: PhantomData }
    }

    /// Length of the file.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fails unless `size` bytes at `offset`, which are called `part`, lie inside the file.
    pub(super) fn require(&self, part: impl Display, offset: u64, size: u64) -> Result<()> {
        match offset.checked_add(size) {
            Some(end) if end <= self.len => Ok(()),
            Some(needed) => Err(ImageError::Truncated { part: part.to_string(), needed, len: self.len }),
            None => Err(malformed("file offsets", format!("{part} ends past the largest possible offset"))),
        }
    }

    /// Reads `size` bytes at `offset`.
    pub(super) fn bytes(&self, part: &'static str, offset: u64, size: u64) -> Result<&'data [u8]> {
        self.require(part, offset, size)?;
        self.data.read_bytes_at(offset, size).map_err(|()| ImageError::Unreadable { part, offset, size })
    }

    /// Reads a table of `T` that takes `size` bytes at `offset`.
    pub(super) fn table<T: Pod>(&self, part: &'static str, offset: u64, size: u64) -> Result<&'data [T]> {
        pod::slice_from_all_bytes(self.bytes(part, offset, size)?)
            .map_err(|()| malformed(part, format!("{size} bytes is not a whole number of entries")))
    }
}
