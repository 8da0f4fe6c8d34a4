//! Sets of addresses.

use std::ops::Range;

/// A set of addresses: sorted ranges that neither overlap nor touch.
#[derive(Default)]
pub(super) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Adds a range that starts at or after the end of every range added before.
    pub(super) fn push(&mut self, range: Range<u64>) {
        match self.0.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.0.push(range),
        }
    }

    /// Whether all of the `len` addresses from `start` are in the set.
    pub(super) fn contains(&self, start: u64, len: u64) -> bool {
        let Some(end) = start.checked_add(len) else {
            return false;
        };
        let after = self.0.partition_point(|range| range.start <= start);
        after.checked_sub(1).is_some_and(|index| end <= self.0[index].end)
    }

    /// An upper bound of what [`Ranges::word_index`] returns.
    pub(super) fn word_count(&self) -> u64 {
        self.0.iter().map(words).sum()
    }

    /// The number of the aligned 8-byte word at `address`, which no other word in the set has.
    pub(super) fn word_index(&self, address: u64) -> Option<u64> {
        let index = self.0.iter().position(|range| range.contains(&address))?;
        let before: u64 = self.0[..index].iter().map(words).sum();
        Some(before + (address - self.0[index].start) / 8)
    }
}

/// The largest number of 8-byte words that begin in a range.
fn words(range: &Range<u64>) -> u64 {
    (range.end - range.start).div_ceil(8)
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
