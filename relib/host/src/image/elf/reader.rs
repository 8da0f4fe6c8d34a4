//! A file as [`object`] reads it: in a few large pieces, each read once and kept until the verdict.
//!
//! What the dynamic loader uses stands close together in a file, so that a handful of system calls read all of it. A
//! mapping would need fewer, but raises SIGBUS if the file is cut while it is mapped.

use std::cell::OnceCell;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use object::read::ReadRef;

/// How much is read from the beginning, where linkers put the headers, symbols and relocations.
const BEGINNING: u64 = 32 << 10;
/// Other pieces begin and end at multiples of this, so that what stands close to them is read with them.
const GRAIN: u64 = 4 << 10;

/// Size of a cache line. The kernel takes several times as long to copy to memory that begins a few bytes further in its
/// page than the file's does, as blocks of the C library's allocator do.
const LINE: usize = 64;

/// A file that is read piece by piece.
pub(crate) struct FileReader<'a> {
    file: &'a File,
    len: u64,
    first: OnceCell<Box<Piece>>,
}

/// A part of the file; the list grows at its end only, so that what was handed out stays in place.
struct Piece {
    start: u64,
    /// The bytes, after a padding that makes them begin at a cache line.
    memory: Vec<u8>,
    padding: usize,
    next: OnceCell<Box<Piece>>,
}

impl Piece {
    fn read(file: &File, range: Range<u64>) -> Option<Self> {
        let len = usize::try_from(range.end - range.start).ok()?;
        let mut memory = vec![0; len + LINE];
        let padding = memory.as_ptr().align_offset(LINE);
        memory.truncate(padding.checked_add(len)?);
        file.read_exact_at(memory.get_mut(padding..)?, range.start).ok()?;
        Some(Self { start: range.start, memory, padding, next: OnceCell::new() })
    }

    /// The bytes from `offset` on, if the piece has them.
    fn get(&self, offset: u64, size: u64) -> Option<&[u8]> {
        let from = offset.checked_sub(self.start)?;
        let to = from.checked_add(size)?;
        self.memory.get(self.padding..)?.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)
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
        Piece::read(self.file, start..end).map(Box::new)
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Reads from a file of `len` bytes that differ from their neighbours.
    fn with_reader(len: usize, check: impl FnOnce(&[u8], &FileReader<'_>)) {
        let expected: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let mut file = tempfile::tempfile().expect("there is a temporary directory");
        file.write_all(&expected).expect("a file can be written");
        check(&expected, &FileReader::new(&file, len as u64));
    }

    #[test]
    fn what_lies_across_the_end_of_a_piece_is_read() {
        let piece = BEGINNING as usize;
        with_reader(3 * piece, |expected, reader| {
            assert_eq!(reader.read_bytes_at(0, 8), Ok(&expected[..8]));
            for (start, end) in [(piece - 8, piece + 8), (piece - 1, piece + 1), (piece, piece + 8)] {
                let bytes = reader.read_bytes_at(start as u64, (end - start) as u64);
                assert_eq!(bytes, Ok(&expected[start..end]), "{start}..{end}");
            }
        });
    }

    #[test]
    fn what_was_handed_out_stays() {
        with_reader(1 << 20, |expected, reader| {
            let at = |offset: u64| reader.read_bytes_at(offset, 16).expect("it is inside the file");
            let offsets = [1 << 19, 0, 1 << 16, (1 << 20) - 16, (1 << 19) + 8];
            let read = offsets.map(at);
            for (offset, bytes) in offsets.into_iter().zip(read) {
                assert_eq!(bytes, &expected[offset as usize..][..16], "{offset:#x}");
                assert_eq!(bytes.as_ptr(), at(offset).as_ptr(), "{offset:#x} was read twice");
            }
        });
    }

    #[test]
    fn nothing_is_read_past_the_end_of_the_file() {
        with_reader(100, |expected, reader| {
            assert_eq!(reader.read_bytes_at(0, 100), Ok(expected));
            for (offset, size) in [(99, 2), (100, 1), (u64::MAX, 2)] {
                assert_eq!(reader.read_bytes_at(offset, size), Err(()), "{size} at {offset}");
            }
        });
    }

    #[test]
    fn a_file_that_is_shorter_than_it_was_cannot_be_read() {
        let file = tempfile::tempfile().expect("there is a temporary directory");
        file.set_len(10).expect("a file can be cut");
        assert_eq!((&FileReader::new(&file, 20)).read_bytes_at(0, 16), Err(()));
    }
}
