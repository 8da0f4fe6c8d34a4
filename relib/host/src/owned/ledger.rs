//! What a module has taken from the system and not given back, as seen through its redirected imports.
//!
//! The ledger is exact in one direction: it never names something that the module does not own any more. A mapping
//! that was given back in part is kept in part; a descriptor is recognised by what it refers to, so that a number that
//! was closed elsewhere and used again is not taken for the module's. There is one exception: of two descriptors without
//! a file, such as two eventfds, the kernel does not say whether they are the same. So a module must not leave it to the
//! host to close such a descriptor if the host may open one of the same kind, and lets the unload close what is left.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::PathBuf;

use crate::platform::{self, DescriptorKind};

/// A range of memory that a module mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub address: usize,
    /// Length in bytes.
    pub len: usize,
}

/// A descriptor that a module opened and did not close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The descriptor's number.
    pub number: i32,
    /// What it refers to.
    pub kind: DescriptorKind,
    /// What the system shows for it: a path, `socket:[...]`, `anon_inode:[eventpoll]`... Empty if that is nothing.
    pub target: String,
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.number)?;
        if self.target.is_empty() { Ok(()) } else { write!(f, " ({})", self.target) }
    }
}

/// What an unload does about descriptors that the module opened and did not close.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DescriptorPolicy {
    /// List them in the report and leave them open: the host may have been given them.
    #[default]
    Report,
    /// Close them, and list them in the report.
    Close,
    /// Refuse the unload.
    Refuse,
}

/// A library that a module opened, by `dlopen` or `LoadLibrary`, and did not close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenLibrary {
    /// The library's file, as the dynamic loader calls it.
    pub path: PathBuf,
    /// How often the module opened it more than it closed it.
    pub times: usize,
}

impl OpenLibrary {
    /// Those of the handles that are still open. It asks the dynamic loader, so no ledger may be locked meanwhile: a
    /// thread that is loading something may wait for it.
    pub(crate) fn of_handles(mut handles: Vec<usize>) -> Vec<Self> {
        handles.sort_unstable();
        let same = handles.chunk_by(|a, b| a == b);
        same.filter_map(|same| Some(Self { path: platform::library_path(same[0])?, times: same.len() }))
            .collect()
    }
}

impl fmt::Display for OpenLibrary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.times {
            1 => write!(f, "{}", self.path.display()),
            times => write!(f, "{} ({times} times)", self.path.display()),
        }
    }
}

/// The open resources of one module.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    mappings: Ranges,
    descriptors: HashMap<i32, platform::DescriptorIdentity>,
    /// Those whose file the module has mapped. They belong to the mapping and go with it.
    mapped_files: HashMap<i32, platform::DescriptorIdentity>,
    signals: BTreeSet<i32>,
    /// Handles of libraries, as often as the module opened them.
    libraries: Vec<usize>,
}

impl Ledger {
    pub(crate) fn mapped(&mut self, address: usize, len: usize) {
        self.mappings.insert(address, len);
    }

    pub(crate) fn unmapped(&mut self, address: usize, len: usize) {
        self.mappings.remove(address, len);
    }

    /// The module's mappings.
    pub(crate) fn mappings(&self) -> Vec<Mapping> {
        self.mappings
            .0
            .iter()
            .map(|(address, end)| Mapping { address: *address, len: end - address })
            .collect()
    }

    pub(crate) fn descriptor_opened(&mut self, number: i32) {
        if let Some(identity) = platform::DescriptorIdentity::of(number) {
            self.descriptors.insert(number, identity);
        }
    }

    /// Whether a descriptor is open that the module did not open.
    #[allow(dead_code, reason = "on Windows nobody chooses the number of a handle")]
    pub(crate) fn is_foreign(&self, number: i32) -> bool {
        platform::DescriptorIdentity::of(number)
            .is_some_and(|open| self.descriptors.get(&number) != Some(&open))
    }

    pub(crate) fn descriptor_closing(&mut self, number: i32) {
        self.descriptors.remove(&number);
        self.mapped_files.remove(&number);
    }

    /// The descriptor's file was mapped: the descriptor is no longer of interest by itself. std keeps open what it maps
    /// to resolve a backtrace, on Windows.
    #[allow(dead_code, reason = "on Linux a mapping needs no open descriptor")]
    pub(crate) fn descriptor_mapped(&mut self, number: i32) {
        if let Some(identity) = self.descriptors.remove(&number) {
            self.mapped_files.insert(number, identity);
        }
    }

    /// Descriptors of mapped files that are still open and still refer to what the module opened.
    pub(crate) fn mapped_files(&self) -> impl Iterator<Item = i32> {
        self.mapped_files
            .iter()
            .filter(|(number, identity)| {
                platform::DescriptorIdentity::of(**number).as_ref() == Some(identity)
            })
            .map(|(number, _)| *number)
    }

    /// The descriptors that are still open and still refer to what the module opened.
    pub(crate) fn descriptors(&self) -> Vec<Descriptor> {
        let mut open: Vec<Descriptor> = self
            .descriptors
            .iter()
            .filter(|(number, identity)| {
                platform::DescriptorIdentity::of(**number).as_ref() == Some(identity)
            })
            .map(|(number, identity)| Descriptor {
                number: *number,
                kind: identity.kind(),
                target: platform::descriptor_target(*number),
            })
            .collect();
        open.sort_by_key(|descriptor| descriptor.number);
        open
    }

    #[allow(dead_code, reason = "only Unix has signals")]
    pub(crate) fn signal_changed(&mut self, signal: i32) {
        self.signals.insert(signal);
    }

    /// Signals whose disposition the module has changed at some time.
    pub(crate) fn signals(&self) -> impl Iterator<Item = i32> {
        self.signals.iter().copied()
    }

    pub(crate) fn library_opened(&mut self, handle: usize) {
        self.libraries.push(handle);
    }

    pub(crate) fn library_closing(&mut self, handle: usize) {
        if let Some(index) = self.libraries.iter().position(|open| *open == handle) {
            self.libraries.swap_remove(index);
        }
    }

    /// The handles of libraries that the module holds open, each as often as it does.
    pub(crate) fn libraries(&self) -> Vec<usize> {
        self.libraries.clone()
    }

    /// How often the module holds a handle open.
    pub(crate) fn times_opened(&self, handle: usize) -> usize {
        self.libraries.iter().filter(|open| **open == handle).count()
    }
}

/// Disjoint ranges of addresses, by their first address, with the address behind their last.
#[derive(Debug, Default)]
struct Ranges(BTreeMap<usize, usize>);

impl Ranges {
    /// A zero length or a range that would reach past the last address is none.
    fn end_of(start: usize, len: usize) -> Option<usize> {
        // The system maps whole pages.
        let len = len.checked_next_multiple_of(platform::page_size())?;
        start.checked_add(len).filter(|end| *end > start)
    }

    fn insert(&mut self, start: usize, len: usize) {
        self.remove(start, len);
        if let Some(end) = Self::end_of(start, len) {
            self.0.insert(start, end);
        }
    }

    fn remove(&mut self, start: usize, len: usize) {
        let Some(end) = Self::end_of(start, len) else {
            return;
        };
        let overlapping: Vec<(usize, usize)> = self
            .0
            .range(..end)
            .rev()
            .map(|(start, end)| (*start, *end))
            .take_while(|(_, other_end)| *other_end > start)
            .collect();
        for (other_start, other_end) in overlapping {
            self.0.remove(&other_start);
            if other_start < start {
                self.0.insert(other_start, start);
            }
            if other_end > end {
                self.0.insert(end, other_end);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(ranges: &Ranges) -> Vec<(usize, usize)> {
        ranges
            .0
            .iter()
            .map(|(start, end)| (start / platform::page_size(), end / platform::page_size()))
            .collect()
    }

    fn insert(ranges: &mut Ranges, start: usize, len: usize) {
        ranges.insert(start * platform::page_size(), len * platform::page_size());
    }

    fn remove(ranges: &mut Ranges, start: usize, len: usize) {
        ranges.remove(start * platform::page_size(), len * platform::page_size());
    }

    #[test]
    fn a_range_given_back_in_part_is_kept_in_part() {
        let mut ranges = Ranges::default();
        insert(&mut ranges, 10, 10);
        remove(&mut ranges, 12, 3);
        assert_eq!(pages(&ranges), [(10, 12), (15, 20)]);
        remove(&mut ranges, 0, 11);
        assert_eq!(pages(&ranges), [(11, 12), (15, 20)]);
        remove(&mut ranges, 11, 100);
        assert_eq!(pages(&ranges), []);
    }

    #[test]
    fn a_mapping_over_another_replaces_that_part() {
        let mut ranges = Ranges::default();
        insert(&mut ranges, 10, 4);
        insert(&mut ranges, 12, 4);
        assert_eq!(pages(&ranges), [(10, 12), (12, 16)]);
    }

    #[test]
    fn partial_pages_count_as_whole_ones() {
        let mut ranges = Ranges::default();
        ranges.insert(platform::page_size(), 1);
        assert_eq!(pages(&ranges), [(1, 2)]);
        ranges.remove(platform::page_size(), 1);
        assert_eq!(pages(&ranges), []);
    }

    #[test]
    fn ranges_past_the_last_address_are_ignored() {
        let mut ranges = Ranges::default();
        ranges.insert(usize::MAX - 10, 100);
        ranges.remove(0, usize::MAX);
        ranges.insert(0, 0);
        assert_eq!(pages(&ranges), []);
    }
}
