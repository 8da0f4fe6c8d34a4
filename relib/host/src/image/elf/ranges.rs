//! Sets of addresses.

use std::ops::Range;

/// A set of addresses: sorted ranges that neither overlap nor touch.
#[derive(Default)]
pub(super) struct Ranges(Vec<Run>);

struct Run {
    range: Range<u64>,
    /// Number of words in the runs before this one.
    words_before: u64,
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

    /// An upper bound of what [`Ranges::word_index`] returns.
    pub(super) fn word_count(&self) -> u64 {
        self.0.last().map_or(0, Run::words)
    }

    fn find(&self, start: u64, len: u64) -> Option<usize> {
        let end = start.checked_add(len)?;
        let after = self.0.partition_point(|run| run.range.start <= start);
        let index = after.checked_sub(1)?;
        (end <= self.0[index].range.end).then_some(index)
    }
}

/// Looks addresses up in a set where most of them lie near the one before.
pub(super) struct Cursor<'a> {
    ranges: &'a Ranges,
    /// The run of the last address that was found: where it starts, its size, and the number of words before it.
    start: u64,
    size: u64,
    words_before: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(ranges: &'a Ranges) -> Self {
        Self { ranges, start: 0, size: 0, words_before: 0 }
    }

    /// If all of the `len` addresses from `start` are in the set: a number that no other word of the set has whose
    /// distance from `start` is a multiple of eight.
    #[inline]
    pub(super) fn word_index(&mut self, start: u64, len: u64) -> Option<u64> {
        let mut offset = start.wrapping_sub(self.start);
        if self.size < len || offset > self.size - len {
            let Run { range, words_before } = &self.ranges.0[self.ranges.find(start, len)?];
            (self.start, self.size, self.words_before) =
                (range.start, range.end - range.start, *words_before);
            offset = start - range.start;
        }
        Some(self.words_before + offset / 8)
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
