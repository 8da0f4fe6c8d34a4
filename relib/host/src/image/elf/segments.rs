//! The program headers (gABI, "Program Header"; `_dl_map_object_from_fd` and `_dl_map_segments` of glibc's
//! `elf/dl-load.c` and `elf/dl-map-segments.h`).

use std::ops::Range;

use object::LittleEndian as LE;
use object::elf::{self, ProgramHeader64, ProgramType, SectionFlags};
use object::read::ReadRef;

use super::header::{Header, PROGRAM_HEADER_SIZE, SIZE as HEADER_SIZE};
use super::machine::PAGE;
use super::ranges::MAX_VADDR;
use super::ranges::{align_down, align_up, overlap};
use super::sections::{Section, Sections};
use crate::image::error::{ImageError, Result, check, malformed};
use crate::image::source::Source;

const PART: &str = "the program headers";

/// The largest `p_align` that a linker can be asked for; glibc reserves that much address space beside the image.
const MAX_ALIGN: u64 = 1 << 30;

/// One program header.
#[derive(Clone, Copy, Debug)]
struct Segment {
    index: usize,
    kind: ProgramType,
    flags: u32,
    offset: u64,
    vaddr: u64,
    filesz: u64,
    memsz: u64,
    align: u64,
}

impl Segment {
    fn has(&self, flag: elf::ProgramFlags) -> bool {
        self.flags & flag.0 != 0
    }

    /// Addresses of the segment, which [`check_bounds`] has bounded.
    fn range(&self) -> Range<u64> {
        self.vaddr..self.vaddr.saturating_add(self.memsz)
    }

    /// End of the part of the segment that comes from the file.
    fn file_end(&self) -> u64 {
        self.vaddr.saturating_add(self.filesz)
    }

    /// Addresses of the pages that the segment is mapped to.
    fn pages(&self) -> Range<u64> {
        align_down(self.vaddr, PAGE)..align_up(self.range().end, PAGE)
    }

    fn parse(index: usize, header: &ProgramHeader64<LE>) -> Self {
        Self {
            index,
            kind: header.p_type.get(LE),
            flags: header.p_flags.get(LE).0,
            offset: header.p_offset.get(LE),
            vaddr: header.p_vaddr.get(LE),
            filesz: header.p_filesz.get(LE),
            memsz: header.p_memsz.get(LE),
            align: header.p_align.get(LE),
        }
    }
}

/// The segments of a file, each of which agrees with the sections.
pub(super) struct Segments {
    loads: Vec<Segment>,
    relro: Option<Range<u64>>,
}

impl Segments {
    /// Reads the program headers and checks them against the sections.
    pub(super) fn read<'data, R: ReadRef<'data>>(
        source: &Source<'data, R>,
        header: &Header,
        sections: &Sections<'data>,
    ) -> Result<Self> {
        let size = u64::from(header.phnum) * PROGRAM_HEADER_SIZE;
        let headers: &[ProgramHeader64<LE>] = source.table(PART, header.phoff, size)?;
        let all: Vec<_> = headers.iter().enumerate().map(|(i, header)| Segment::parse(i, header)).collect();
        check_kinds(&all)?;
        for segment in all.iter().filter(|segment| segment.kind != elf::PT_NULL) {
            check_bounds(source, segment)?;
        }
        let loads: Vec<_> = all.iter().filter(|segment| segment.kind == elf::PT_LOAD).copied().collect();
        check_loads(&loads, sections)?;
        let views = Views { all: &all, loads: &loads, sections };
        views.check_headers(header)?;
        views.check_dynamic()?;
        views.check_tls()?;
        views.check_eh_frame()?;
        views.check_notes()?;
        views.check_stack()?;
        let relro = views.check_relro()?;
        Ok(Self { loads, relro })
    }

    /// Addresses from the first to the last segment.
    pub(super) fn span(&self) -> Range<u64> {
        let start = self.loads.first().map_or(0, |load| load.vaddr);
        let end = self.loads.last().map_or(0, |load| load.range().end);
        start..end
    }

    /// Addresses that become read-only after relocation.
    pub(super) fn relro(&self) -> Option<Range<u64>> {
        self.relro.clone()
    }
}

/// Checks that every type is known and occurs as often as it may.
fn check_kinds(all: &[Segment]) -> Result<()> {
    const ONCE: [ProgramType; 8] = [
        elf::PT_PHDR,
        elf::PT_DYNAMIC,
        elf::PT_TLS,
        elf::PT_GNU_EH_FRAME,
        elf::PT_GNU_STACK,
        elf::PT_GNU_RELRO,
        elf::PT_GNU_PROPERTY,
        elf::PT_GNU_SFRAME,
    ];
    for segment in all {
        let (index, kind) = (segment.index, segment.kind);
        if kind == elf::PT_INTERP {
            return Err(ImageError::NotALibrary { found: "an executable" });
        }
        let often = [elf::PT_NULL, elf::PT_LOAD, elf::PT_NOTE].contains(&kind);
        check!(often || ONCE.contains(&kind), PART, "segment {index} has the unknown type {:#x}", kind.0);
        let repeated = all[..index].iter().any(|earlier| earlier.kind == kind);
        check!(often || !repeated, PART, "segment {index} repeats the type {:#x}", kind.0);
    }
    Ok(())
}

/// Checks one segment by itself.
fn check_bounds<'data, R: ReadRef<'data>>(source: &Source<'data, R>, segment: &Segment) -> Result<()> {
    let Segment { index, vaddr, filesz, memsz, offset, .. } = *segment;
    source.require(format_args!("segment {index}"), offset, filesz)?;
    check!(filesz <= memsz, PART, "segment {index} has p_filesz {filesz:#x} above p_memsz {memsz:#x}");
    let small = vaddr <= MAX_VADDR && memsz <= MAX_VADDR;
    check!(small, PART, "segment {index} has {memsz:#x} bytes at {vaddr:#x}");
    let known = elf::PF_R.0 | elf::PF_W.0 | elf::PF_X.0;
    check!(segment.flags & !known == 0, PART, "segment {index} has p_flags {:#x}", segment.flags);
    Ok(())
}

/// Checks the segments that are mapped: each by itself, their order, and that they hold exactly the sections.
fn check_loads(loads: &[Segment], sections: &Sections<'_>) -> Result<()> {
    check!(!loads.is_empty(), PART, "there is no PT_LOAD");
    for load in loads {
        check_load(load)?;
    }
    for pair in loads.windows(2) {
        let (first, second) = (&pair[0], &pair[1]);
        let apart = first.pages().end <= second.pages().start;
        check!(apart, PART, "segments {} and {} are out of order or overlap", first.index, second.index);
    }
    let mut rest = sections.image();
    for load in loads {
        let count = rest.iter().take_while(|section| section.addr < load.range().end).count();
        let (inside, after) = rest.split_at(count);
        check_contents(load, inside)?;
        rest = after;
    }
    check!(rest.is_empty(), PART, "{} lies in no PT_LOAD", rest[0]);
    Ok(())
}

/// Checks one PT_LOAD by itself. glibc maps whole pages, so offset and address must agree within a page.
fn check_load(load: &Segment) -> Result<()> {
    let Segment { index, align, vaddr, offset, .. } = *load;
    let valid = align.is_power_of_two() && (PAGE..=MAX_ALIGN).contains(&align);
    check!(valid, PART, "segment {index} has p_align {align:#x}");
    let congruent = vaddr % align == offset % align;
    check!(
        congruent,
        PART,
        "segment {index} has p_vaddr {vaddr:#x} and p_offset {offset:#x}, which disagree"
    );
    check!(load.memsz != 0, PART, "segment {index} is empty");
    check!(load.has(elf::PF_R), PART, "segment {index} is not readable");
    if load.has(elf::PF_W) && load.has(elf::PF_X) {
        return Err(ImageError::Unsupported {
            what: format!("segment {index}, which is writable and executable"),
            advice: "link without -N and without writable code sections",
        });
    }
    Ok(())
}

/// Checks that a PT_LOAD holds exactly these sections, at the right place in the file and with the right access.
fn check_contents(load: &Segment, inside: &[Section<'_>]) -> Result<()> {
    let index = load.index;
    for section in inside {
        let end = if section.is_nobits() { load.range().end } else { load.file_end() };
        let contained = load.vaddr <= section.addr && section.end() <= end;
        check!(contained, PART, "{section} is not inside segment {index}");
        let distance = section.addr.saturating_sub(load.vaddr);
        let placed = section.is_nobits() || load.offset.checked_add(distance) == Some(section.offset);
        check!(placed, PART, "{section} is elsewhere in the file than in segment {index}");
        let aligned = section.align <= load.align;
        check!(aligned, PART, "{section} needs a larger alignment than segment {index} has");
    }
    check_access(load, inside)?;
    check_ends(load, inside)
}

/// Checks that a PT_LOAD grants what its sections need, and executes nothing but code.
fn check_access(load: &Segment, inside: &[Section<'_>]) -> Result<()> {
    let any = |flag: SectionFlags| inside.iter().any(|section| section.has(flag));
    let writable = load.has(elf::PF_W) || !any(elf::SHF_WRITE);
    check!(writable, PART, "segment {} is read-only but holds writable sections", load.index);
    let code = any(elf::SHF_EXECINSTR) == load.has(elf::PF_X);
    check!(code, PART, "segment {} and its sections disagree about what is executable", load.index);
    Ok(())
}

/// Checks where the file's part and the zeroed part of a PT_LOAD end. What is to be zero must not come from the file;
/// where nothing is, linkers may fill the last page, and tools that move sections leave holes.
fn check_ends(load: &Segment, inside: &[Section<'_>]) -> Result<()> {
    let Segment { index, filesz, memsz, .. } = *load;
    let Some(last) = inside.last() else {
        let headers_only = load.offset == 0 && filesz == memsz && memsz <= PAGE;
        check!(headers_only, PART, "segment {index} holds no sections");
        return Ok(());
    };
    let in_file = inside.iter().rev().find(|section| !section.is_nobits());
    let file_end = in_file.map_or(load.vaddr, Section::end);
    let ends_in_file = !last.is_nobits();
    let file_valid = load.file_end() == file_end || ends_in_file;
    check!(file_valid, PART, "segment {index} has p_filesz {filesz:#x}, unlike its sections");
    let end = last.end();
    let padded = (end..=align_up(end, PAGE)).contains(&load.range().end);
    let valid = padded || (ends_in_file && filesz == memsz);
    check!(valid, PART, "segment {index} has p_memsz {memsz:#x}, unlike its sections");
    Ok(())
}

/// The two views of a file side by side.
struct Views<'a, 'data> {
    all: &'a [Segment],
    loads: &'a [Segment],
    sections: &'a Sections<'data>,
}

impl<'data> Views<'_, 'data> {
    fn find(&self, kind: ProgramType) -> Option<&Segment> {
        self.all.iter().find(|segment| segment.kind == kind)
    }

    /// Checks that the first segment maps the headers, which the unwinder finds through the loader, and that PT_PHDR,
    /// if present, names them.
    fn check_headers(&self, header: &Header) -> Result<()> {
        let end = header.program_headers_end();
        let load =
            self.loads.iter().find(|load| load.offset <= header.phoff && end - load.offset <= load.filesz);
        let load = load.ok_or_else(|| malformed(PART, "no segment holds the program headers"))?;
        let vaddr = load.vaddr.saturating_add(header.phoff - load.offset);
        check!(load.offset != 0 || load.filesz >= HEADER_SIZE, PART, "the first segment is too short");
        let Some(phdr) = self.find(elf::PT_PHDR) else {
            return Ok(());
        };
        let size = end - header.phoff;
        let equal = (phdr.offset, phdr.vaddr, phdr.filesz, phdr.memsz) == (header.phoff, vaddr, size, size);
        check!(equal, PART, "PT_PHDR does not name the program headers");
        Ok(())
    }

    /// Checks that PT_DYNAMIC is the dynamic section. glibc relocates that section in place if PT_DYNAMIC is writable.
    fn check_dynamic(&self) -> Result<()> {
        let section = self.sections.only(elf::SHT_DYNAMIC)?;
        self.check_equal("PT_DYNAMIC", elf::PT_DYNAMIC, section)?;
        let Some((segment, section)) = self.find(elf::PT_DYNAMIC).zip(section) else {
            return Err(ImageError::NotALibrary { found: "a file without dynamic linking information" });
        };
        let agree = segment.has(elf::PF_W) == section.has(elf::SHF_WRITE);
        check!(agree, PART, "PT_DYNAMIC and {section} disagree about being writable");
        Ok(())
    }

    /// Checks that PT_GNU_EH_FRAME is the unwinder's table: a wrong one ends the process at the first panic.
    fn check_eh_frame(&self) -> Result<()> {
        let section = self.sections.only_named(b".eh_frame_hdr")?;
        self.check_equal("PT_GNU_EH_FRAME", elf::PT_GNU_EH_FRAME, section)
    }

    /// Checks that PT_TLS is what `.tdata` and `.tbss` make up.
    fn check_tls(&self) -> Result<()> {
        match (self.find(elf::PT_TLS), self.sections.tls_template()) {
            (None, None) => Ok(()),
            (Some(segment), Some(tls)) => {
                let equal =
                    (segment.vaddr, segment.filesz, segment.align) == (tls.vaddr, tls.filesz, tls.align);
                let sizes = tls.memsz..=align_up(tls.memsz, tls.align);
                let valid = equal && sizes.contains(&segment.memsz);
                check!(valid, PART, "PT_TLS does not match the thread-local sections");
                Ok(())
            }
            _ => Err(malformed(PART, "PT_TLS and the thread-local sections are not both present")),
        }
    }

    /// Checks that each PT_NOTE begins and ends where note sections do, and that PT_GNU_PROPERTY is its section.
    fn check_notes(&self) -> Result<()> {
        for segment in self.all.iter().filter(|segment| segment.kind == elf::PT_NOTE) {
            let Segment { index, vaddr, offset, filesz, memsz, .. } = *segment;
            check!(filesz == memsz, PART, "segment {index} has p_filesz {filesz:#x}, p_memsz {memsz:#x}");
            let notes = || self.sections.of_kind(elf::SHT_NOTE);
            let starts = notes().any(|note| (note.addr, note.offset) == (vaddr, offset));
            let ends = notes().any(|note| note.end() == segment.range().end);
            check!(starts && ends, PART, "segment {index} is not made of note sections");
            let align = segment.align;
            check!(align <= 1 || align == 4 || align == 8, PART, "segment {index} has p_align {align}");
        }
        let property = self.sections.only_named(b".note.gnu.property")?;
        match self.find(elf::PT_GNU_PROPERTY) {
            Some(_) => self.check_equal("PT_GNU_PROPERTY", elf::PT_GNU_PROPERTY, property),
            None => Ok(()),
        }
    }

    /// Checks PT_GNU_STACK: without it, glibc makes the stacks of all threads executable.
    fn check_stack(&self) -> Result<()> {
        let Some(stack) = self.find(elf::PT_GNU_STACK).filter(|stack| !stack.has(elf::PF_X)) else {
            return Err(ImageError::Unsupported {
                what: "an executable stack".to_owned(),
                advice: "link with -z noexecstack",
            });
        };
        check!(
            stack.has(elf::PF_R) && stack.has(elf::PF_W),
            PART,
            "PT_GNU_STACK has p_flags {:#x}",
            stack.flags
        );
        Ok(())
    }

    /// Checks that the pages that become read-only lie in one writable segment and hold nothing that is written later.
    fn check_relro(&self) -> Result<Option<Range<u64>>> {
        let Some(segment) = self.find(elf::PT_GNU_RELRO).filter(|segment| segment.memsz != 0) else {
            return Ok(None);
        };
        // The bounds that `_dl_protect_relro` computes.
        let range = segment.range();
        let pages = align_down(range.start, PAGE)..align_down(range.end, PAGE);
        let load = self.loads.iter().find(|load| load.has(elf::PF_W) && load.pages().contains(&range.start));
        let inside = load.is_some_and(|load| load.vaddr <= range.start && range.end <= load.pages().end);
        check!(inside, PART, "PT_GNU_RELRO is not inside a writable segment");
        for section in self.sections.image() {
            let harmed = overlap(&pages, &section.range()) && !is_relro(section);
            check!(!harmed, PART, "PT_GNU_RELRO makes {section} read-only");
        }
        Ok(Some(range))
    }

    /// Checks that a segment and a section are both absent or the same bytes.
    fn check_equal(&self, name: &str, kind: ProgramType, section: Option<&Section<'data>>) -> Result<()> {
        match (self.find(kind), section) {
            (None, None) => Ok(()),
            (Some(_), None) => Err(malformed(PART, format!("{name} has no section"))),
            (None, Some(section)) => {
                Err(malformed(PART, format!("{name} is missing although there is {section}")))
            }
            (Some(segment), Some(section)) => {
                let size = section.size;
                let equal = (segment.vaddr, segment.offset) == (section.addr, section.offset);
                let valid = equal && (segment.filesz, segment.memsz) == (size, size);
                check!(valid, PART, "{name} is not {section}");
                Ok(())
            }
        }
    }
}

/// Whether linkers count a section among those that are written by relocation only.
fn is_relro(section: &Section<'_>) -> bool {
    const NAMES: [&[u8]; 10] = [
        b".data.rel.ro",
        b".data.rel.ro.local",
        b".bss.rel.ro",
        b".got",
        b".got.plt",
        b".relro_padding",
        b".ctors",
        b".dtors",
        b".jcr",
        b".gcc_except_table",
    ];
    let kinds = [elf::SHT_INIT_ARRAY, elf::SHT_FINI_ARRAY, elf::SHT_PREINIT_ARRAY, elf::SHT_DYNAMIC];
    !section.has(elf::SHF_WRITE)
        || section.has(elf::SHF_TLS)
        || kinds.contains(&section.kind)
        || NAMES.contains(&section.name)
}
