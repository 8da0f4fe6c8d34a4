//! Sets of addresses.

use std::ops::Range;

/// Upper bound of virtual addresses: no library comes near, and below it sums of a few addresses cannot overflow.
pub(super) const MAX_VADDR: u64 = 1 << 32;

/// A set of addresses: sorted ranges that neither overlap nor touch.
#[derive(Default)]
pub(super) struct Ranges(Vec<Run>);

/// A range of a set.
pub(super) struct Run {
    pub(super) range: Range<u64>,
    /// Number of words in the runs before this one.
    pub(super) words_before: u64,
}

impl Run {
    /// The number of words up to the end of this run.
    fn words(&self) -> u64 {
        self.words_before + (self.range.end - self.range.start).div_ceil(8)
    }
}

impl Ranges {
    /// Adds a range that starts at or after the end of every range added before.
    pub(super) fn push(&mut self, range: Range<u64>) {
        match self.0.last_mut() {
            Some(last) if last.range.end == range.start => last.range.end = range.end,
            last => {
                let words_before = last.map_or(0, |last| last.words());
                self.0.push(Run { range, words_before });
            }
        }
    }

    /// Whether all of the `len` addresses from `start` are in the set.
    pub(super) fn contains(&self, start: u64, len: u64) -> bool {
        self.find(start, len).is_some()
    }

    /// From the first address of the set to the last.
    pub(super) fn hull(&self) -> Range<u64> {
        match (self.0.first(), self.0.last()) {
            (Some(first), Some(last)) => first.range.start..last.range.end,
            _ => 0..0,
        }
    }

    /// An upper bound of what [`Ranges::word_index`] returns.
    pub(super) fn word_count(&self) -> u64 {
        self.0.last().map_or(0, Run::words)
    }

    /// If all of the `len` addresses from `start` are in the set: a number that no other word of the set has whose
    /// distance from `start` is a multiple of eight.
    pub(super) fn word_index(&self, start: u64, len: u64) -> Option<u64> {
        let run = self.find(start, len)?;
        Some(run.words_before + (start - run.range.start) / 8)
    }

    /// The range that an address is in.
    pub(super) fn run_of(&self, address: u64) -> Option<&Run> {
        self.find(address, 1)
    }

    fn find(&self, start: u64, len: u64) -> Option<&Run> {
        let end = start.checked_add(len)?;
        let after = self.0.partition_point(|run| run.range.start <= start);
        let run = &self.0[after.checked_sub(1)?];
        (end <= run.range.end).then_some(run)
    }
}

/// Whether two ranges have an address in common.
pub(super) fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Rounds down to a multiple of `align`, a power of two.
pub(super) fn align_down(value: u64, align: u64) -> u64 {
    value & !(align - 1)
}

/// Rounds up to a multiple of `align`, a power of two. The caller keeps `value` far from the end of `u64`.
pub(super) fn align_up(value: u64, align: u64) -> u64 {
    align_down(value.saturating_add(align - 1), align)
}
