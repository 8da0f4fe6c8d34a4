//! Notes (gABI, "Note Section"). glibc walks them when it loads a library (`_dl_process_pt_note` of
//! `sysdeps/x86/dl-prop.h`), to find out which processor features the library needs.

use object::LittleEndian as LE;
use object::elf::{self, NoteHeader64};
use object::pod;
use object::read::ReadRef;

use super::ranges::align_up;
use super::sections::{Section, Sections};
use crate::image::error::{Result, check, malformed};
use crate::image::source::Source;

const PART: &str = "a note section";

/// Checks that the notes of every note section fill it exactly.
pub(super) fn check<'data, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    sections: &Sections<'data>,
) -> Result<()> {
    sections.of_kind(elf::SHT_NOTE).try_for_each(|section| check_section(source, section))
}

fn check_section<'data, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    section: &Section<'data>,
) -> Result<()> {
    let align = section.align.max(4);
    check!(align <= 8, PART, "{section} has sh_addralign {align}");
    let mut rest = section.bytes(source)?;
    while !rest.is_empty() {
        let size =
            note_size(rest, align).ok_or_else(|| malformed(PART, format!("{section} ends inside a note")))?;
        // The padding of the last note may be missing.
        rest = rest.get(size..).unwrap_or_default();
    }
    Ok(())
}

/// Size of the first note with its padding, or `None` if `bytes` end before it does.
fn note_size(bytes: &[u8], align: u64) -> Option<usize> {
    let (header, _) = pod::from_bytes::<NoteHeader64<LE>>(bytes).ok()?;
    let name_end = 12 + u64::from(header.n_namesz.get(LE));
    let end = align_up(name_end, align) + u64::from(header.n_descsz.get(LE));
    if usize::try_from(end).ok()? > bytes.len() {
        return None;
    }
    usize::try_from(align_up(end, align)).ok()
}
