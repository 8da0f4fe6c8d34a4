//! The unwinder's search table (Linux Standard Base, "Exception Frames", `.eh_frame_hdr`; read by libgcc's
//! `unwind-dw2-fde-dip.c`): without it, or with a wrong one, the first panic of a module ends the process.
//!
//! That the loader finds it by PT_GNU_EH_FRAME, `segments` has checked. What the frames say is not looked at.

use object::read::ReadRef;

use super::sections::{Section, Sections};
use crate::image::error::{ImageError, Result, check};
use crate::image::source::Source;

const PART: &str = "the unwinder's table";

/// Encodings of pointers (LSB, "DWARF Exception Header Encoding") as all linkers write them.
const RELATIVE_TO_ITSELF: u8 = 0x1b;
const UNSIGNED: u8 = 0x03;
const RELATIVE_TO_TABLE: u8 = 0x3b;

/// Version, encodings, address of the frames, number of entries.
const HEADER: usize = 12;

/// Checks the table of a module; other libraries may have none.
pub(super) fn check<'data, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    sections: &Sections<'data>,
    is_module: bool,
) -> Result<()> {
    let missing = |what: &str| ImageError::Unsupported {
        what: format!("unwinding without {what}"),
        advice: "link with --eh-frame-hdr and keep the section when stripping: without it a panic would end the process",
    };
    let (table, frames) = (sections.only_named(b".eh_frame_hdr")?, sections.only_named(b".eh_frame")?);
    let (table, frames) = match (table, frames) {
        (Some(table), Some(frames)) => (table, frames),
        (None, _) if is_module => return Err(missing(".eh_frame_hdr")),
        (_, None) if is_module => return Err(missing(".eh_frame")),
        _ => return Ok(()),
    };
    check_table(table.bytes(source)?, table, frames, sections)
}

fn check_table(
    bytes: &[u8],
    table: &Section<'_>,
    frames: &Section<'_>,
    sections: &Sections<'_>,
) -> Result<()> {
    let header = bytes.first_chunk::<HEADER>();
    check!(header.is_some(), PART, "it is cut short");
    let [version, pointer, count, entries, a, b, c, d, rest @ ..] = *header.unwrap_or(&[0; HEADER]);
    let usual = (version, pointer, count, entries) == (1, RELATIVE_TO_ITSELF, UNSIGNED, RELATIVE_TO_TABLE);
    if !usual {
        return Err(ImageError::Unsupported {
            what: format!(
                "a table for unwinding of another form ({:x?})",
                [version, pointer, count, entries]
            ),
            advice: "link with GNU ld, lld, gold or mold",
        });
    }
    // The address stands behind the four bytes of version and encodings, which it is relative to.
    let start = (table.addr + 4).wrapping_add_signed(i32::from_le_bytes([a, b, c, d]).into());
    check!(
        start == frames.addr,
        PART,
        "it is about frames at {start:#x}, and {frames} is at {:#x}",
        frames.addr
    );
    let count = u32::from_le_bytes(rest) as usize;
    let entries = count.checked_mul(8).and_then(|len| bytes[HEADER..].get(..len));
    check!(entries.is_some(), PART, "it has {count} entries, for which it has no room");
    let code = sections.code().hull();
    let address = |word: &[u8]| {
        let word = word.first_chunk().map_or(0, |word| i32::from_le_bytes(*word));
        table.addr.wrapping_add_signed(word.into())
    };
    let mut before = code.start;
    for entry in entries.unwrap_or_default().chunks_exact(8) {
        let (function, frame) = (address(entry), address(&entry[4..]));
        // The unwinder looks for an address by halving the table.
        let in_order = function >= before && function < code.end;
        check!(in_order, PART, "the entry for {function:#x} is not in its place");
        check!(
            frames.range().contains(&frame),
            PART,
            "the entry for {function:#x} leads to {frame:#x}, out of {frames}"
        );
        before = function;
    }
    Ok(())
}
