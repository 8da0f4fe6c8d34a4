//! The header's checksum (`CheckSumMappedFile` of imagehlp): the sum of all 16-bit words with carries added back, plus
//! the length of the file. Every single changed byte changes it.

use object::read::ReadRef;

use super::header::Header;
use crate::image::error::{Result, check};
use crate::image::source::Source;

/// Bytes that are read at a time.
const CHUNK: u64 = 1 << 16;

/// Checks the sum if the linker wrote one; Microsoft's and LLVM's do not unless asked.
pub(super) fn check<'data, R: ReadRef<'data>>(source: &Source<'data, R>, header: &Header) -> Result<()> {
    const PART: &str = "the checksum";
    if header.checksum == 0 {
        return Ok(());
    }
    let mut sum = 0_u128;
    let mut offset = 0;
    while offset < source.len() {
        let chunk = source.bytes(PART, offset, CHUNK.min(source.len() - offset))?;
        // Carries are added back at the end, so that words may as well be added by fours. All chunks but the last consist
        // of whole ones; zeros behind the last add nothing.
        let (words, last) = chunk.as_chunks::<8>();
        let mut rest = [0; 8];
        rest[..last.len()].copy_from_slice(last);
        // By index: in a debug build an iterator would take most of the time of a load.
        let mut index = 0;
        while index < words.len() {
            sum += u128::from(u64::from_le_bytes(words[index]));
            index += 1;
        }
        sum += u128::from(u64::from_le_bytes(rest));
        offset += CHUNK;
    }
    // The field itself counts as zero; it is aligned, so its two words are words of the sum.
    sum -= u128::from(header.checksum & 0xffff) + u128::from(header.checksum >> 16);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let found = sum as u64 + source.len();
    check!(
        found == u64::from(header.checksum),
        PART,
        "it is {:#x} and should be {found:#x}",
        header.checksum
    );
    debug_assert!(header.checksum_offset.is_multiple_of(2), "e_lfanew is a multiple of 8");
    Ok(())
}
