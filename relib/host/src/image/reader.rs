//! A file as [`object`] reads it: in a few large pieces, each read once and kept until the verdict.
//!
//! What the dynamic loader uses stands close together in a file, so that a handful of system calls read all of it. A
//! mapping would need fewer, but raises SIGBUS if the file is cut while it is mapped.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;

use object::read::ReadRef;

/// How much is read from the beginning, where linkers put the headers, symbols and relocations.
const BEGINNING: u64 = 32 << 10;
/// Other pieces begin and end at multiples of this, so that what stands close to them is read with them.
const GRAIN: u64 = 4 << 10;

/// A file that is read piece by piece.
pub(crate) struct FileReader<'a> {
    file: &'a File,
    len: u64,
    first: OnceCell<Box<Piece>>,
}

/// A part of the file; the list grows at its end only, so that what was handed out stays in place.
struct Piece {
    start: u64,
    bytes: Vec<u8>,
    next: OnceCell<Box<Piece>>,
}

impl Piece {
    /// The bytes from `offset` on, if the piece has them.
    fn get(&self, offset: u64, size: u64) -> Option<&[u8]> {
        let from = offset.checked_sub(self.start)?;
        let to = from.checked_add(size)?;
        self.bytes.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)
    }
}

impl<'a> FileReader<'a> {
    /// Reads from `file`, which is `len` bytes long.
    pub(crate) fn new(file: &'a File, len: u64) -> Self {
        Self { file, len, first: OnceCell::new() }
    }

    fn read(&self, offset: u64, size: u64) -> Option<Box<Piece>> {
        let end = offset.checked_add(size).filter(|end| *end <= self.len)?;
        let start = offset - offset % GRAIN;
        let end = end.next_multiple_of(GRAIN).max(BEGINNING.saturating_sub(start)).min(self.len);
        let mut bytes = vec![0; usize::try_from(end - start).ok()?];
        let mut file = self.file;
        file.seek(SeekFrom::Start(start)).ok()?;
        file.read_exact(&mut bytes).ok()?;
        Some(Box::new(Piece { start, bytes, next: OnceCell::new() }))
    }
}

impl<'a> ReadRef<'a> for &'a FileReader<'_> {
    fn len(self) -> Result<u64, ()> {
        Ok(self.len)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        let mut place = &self.first;
        while let Some(piece) = place.get() {
            if let Some(bytes) = piece.get(offset, size) {
                return Ok(bytes);
            }
            place = &piece.next;
        }
        let piece = self.read(offset, size).ok_or(())?;
        place.get_or_init(|| piece).get(offset, size).ok_or(())
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        let size = range.end.checked_sub(range.start).ok_or(())?;
        let bytes = self.read_bytes_at(range.start, size)?;
        let end = bytes.iter().position(|byte| *byte == delimiter).ok_or(())?;
        bytes.get(..end).ok_or(())
    }
}
