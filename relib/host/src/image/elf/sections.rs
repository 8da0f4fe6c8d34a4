//! The section headers (gABI, "Sections"): the second description of the file, against which the first is checked.

use object::LittleEndian as LE;
use object::elf::{self, SectionFlags, SectionHeader64, SectionType};
use object::pod::Pod;
use object::read::ReadRef;
use std::fmt;
use std::ops::Range;

use super::header::{Header, SECTION_HEADER_SIZE};
use super::ranges::MAX_VADDR;
use super::ranges::{Ranges, align_up, overlap};
use super::text::until_zero;
use crate::image::contents::TlsTemplate;
use crate::image::error::{ImageError, Result, check, malformed};
use crate::image::source::Source;

const PART: &str = "the section headers";

/// One section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'data> {
    /// The section's name.
    pub(super) name: &'data [u8],
    /// `sh_type`.
    pub(super) kind: SectionType,
    /// `sh_addr`.
    pub(super) addr: u64,
    /// `sh_offset`.
    pub(super) offset: u64,
    /// `sh_size`.
    pub(super) size: u64,
    /// `sh_link`.
    pub(super) link: u32,
    /// `sh_info`.
    pub(super) info: u32,
    /// `sh_addralign`, 1 where the file has 0.
    pub(super) align: u64,
    flags: SectionFlags,
}

impl<'data> Section<'data> {
    /// Whether the section has a flag.
    pub(super) fn has(&self, flag: SectionFlags) -> bool {
        self.flags.0 & flag.0 != 0
    }

    /// Whether the section takes no space in the file.
    pub(super) fn is_nobits(&self) -> bool {
        self.kind == elf::SHT_NOBITS
    }

    /// Whether the section is `.tbss`, which takes space neither in the file nor in the image.
    pub(super) fn is_tbss(&self) -> bool {
        self.is_nobits() && self.has(elf::SHF_TLS)
    }

    /// The section's addresses.
    pub(super) fn range(&self) -> Range<u64> {
        self.addr..self.end()
    }

    /// End of the section's addresses, which were checked to be far from overflow.
    pub(super) fn end(&self) -> u64 {
        self.addr.saturating_add(self.size)
    }

    /// The section's bytes.
    pub(super) fn bytes<R: ReadRef<'data>>(&self, source: &Source<'data, R>) -> Result<&'data [u8]> {
        self.table(source)
    }

    /// The section's bytes as a table.
    pub(super) fn table<T: Pod, R: ReadRef<'data>>(&self, source: &Source<'data, R>) -> Result<&'data [T]> {
        check!(!self.is_nobits(), PART, "{self} has no contents");
        let entry = size_of::<T>() as u64;
        check!(
            self.size.is_multiple_of(entry),
            PART,
            "{self} has {} bytes, for entries of {entry}",
            self.size
        );
        source.table("a section", self.offset, self.size)
    }
}

impl fmt::Display for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.name))
    }
}

/// The sections of a file.
pub(super) struct Sections<'data> {
    all: Vec<Section<'data>>,
    /// Sections that are part of the image and not empty, by address; without `.tbss`.
    image: Vec<Section<'data>>,
    tls: Option<TlsTemplate>,
    code: Ranges,
    data: Ranges,
}

impl<'data> Sections<'data> {
    /// Reads and checks the section headers.
    pub(super) fn read<R: ReadRef<'data>>(source: &Source<'data, R>, header: &Header) -> Result<Self> {
        let size = u64::from(header.shnum) * SECTION_HEADER_SIZE;
        let headers: &[SectionHeader64<LE>] = source.table(PART, header.shoff, size)?;
        let names = section_names(source, headers, header.shstrndx)?;
        let mut all = Vec::with_capacity(headers.len());
        for header in headers {
            all.push(parse(header, names)?);
        }
        check!(all[0].kind == elf::SHT_NULL, PART, "the first section is not SHT_NULL");
        for section in &all {
            check_section(source, section)?;
        }
        let image = image_sections(&all, header)?;
        let tls = tls_template(&all)?;
        let (code, data) = (ranges(&image, elf::SHF_EXECINSTR), writable_data(&image));
        Ok(Self { all, image, tls, code, data })
    }

    /// The section at `index` of the table.
    pub(super) fn get(&self, index: u32) -> Option<&Section<'data>> {
        self.all.get(usize::try_from(index).ok()?)
    }

    /// Sections that are part of the image and not empty, by address; without `.tbss`.
    pub(super) fn image(&self) -> &[Section<'data>] {
        &self.image
    }

    /// Sections of one type that are part of the image and not empty.
    pub(super) fn of_kind(&self, kind: SectionType) -> impl Iterator<Item = &Section<'data>> {
        self.image.iter().filter(move |section| section.kind == kind)
    }

    /// The one section of a type that may occur once.
    pub(super) fn only(&self, kind: SectionType) -> Result<Option<&Section<'data>>> {
        at_most_one(self.of_kind(kind))
    }

    /// The one section with a name that may occur once.
    pub(super) fn only_named(&self, name: &[u8]) -> Result<Option<&Section<'data>>> {
        at_most_one(self.image.iter().filter(|section| section.name == name))
    }

    /// Sections that are part of the image and not empty, called `name`, or `name` and something after a dot.
    pub(super) fn named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a Section<'data>> {
        self.image.iter().filter(move |section| {
            section.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest[0] == b'.')
        })
    }

    /// Addresses of code.
    pub(super) fn code(&self) -> &Ranges {
        &self.code
    }

    /// Addresses that relocations may write: writable sections that come from the file, except the dynamic section.
    pub(super) fn data(&self) -> &Ranges {
        &self.data
    }

    /// The thread-local storage that the sections describe.
    pub(super) fn tls_template(&self) -> Option<TlsTemplate> {
        self.tls
    }
}

fn at_most_one<'a, 'data>(
    mut sections: impl Iterator<Item = &'a Section<'data>>,
) -> Result<Option<&'a Section<'data>>>
where
    'data: 'a,
{
    let first = sections.next();
    if let (Some(first), Some(second)) = (first, sections.next()) {
        return Err(malformed(PART, format!("both {first} and {second} are present, where one is allowed")));
    }
    Ok(first)
}

/// Reads the section that holds section names.
fn section_names<'data, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    headers: &[SectionHeader64<LE>],
    index: u16,
) -> Result<&'data [u8]> {
    let section = headers
        .get(usize::from(index))
        .filter(|section| section.sh_type.get(LE) == elf::SHT_STRTAB)
        .ok_or_else(|| malformed(PART, "e_shstrndx does not name a string table"))?;
    source.bytes("the section names", section.sh_offset.get(LE), section.sh_size.get(LE))
}

/// The longest name of a section: as names may overlap, a table of them could otherwise take for ever to read.
const MAX_NAME: usize = 4096;

fn parse<'data>(header: &SectionHeader64<LE>, names: &'data [u8]) -> Result<Section<'data>> {
    let name = usize::try_from(header.sh_name.get(LE))
        .ok()
        .and_then(|start| names.get(start..))
        .and_then(|rest| until_zero(&rest[..rest.len().min(MAX_NAME)]))
        .ok_or_else(|| malformed(PART, "a section name lies outside the section names"))?;
    Ok(Section {
        name,
        kind: header.sh_type.get(LE),
        flags: header.sh_flags.get(LE),
        addr: header.sh_addr.get(LE),
        offset: header.sh_offset.get(LE),
        size: header.sh_size.get(LE),
        link: header.sh_link.get(LE),
        info: header.sh_info.get(LE),
        align: header.sh_addralign.get(LE).max(1),
    })
}

/// Checks one section by itself.
fn check_section<'data, R: ReadRef<'data>>(source: &Source<'data, R>, section: &Section<'_>) -> Result<()> {
    if section.kind != elf::SHT_NULL && !section.is_nobits() {
        source.require(format_args!("section {section}"), section.offset, section.size)?;
    }
    if !section.has(elf::SHF_ALLOC) {
        return Ok(());
    }
    let (addr, size, align) = (section.addr, section.size, section.align);
    check!(align.is_power_of_two(), PART, "{section} has sh_addralign {align}");
    check!(addr.is_multiple_of(align), PART, "{section} is at {addr:#x}, not a multiple of {align}");
    check!(addr <= MAX_VADDR && size <= MAX_VADDR, PART, "{section} has {size:#x} bytes at {addr:#x}");
    let writable_code = section.has(elf::SHF_WRITE) && section.has(elf::SHF_EXECINSTR);
    check!(!writable_code, PART, "{section} is both writable and executable");
    check!(!section.has(elf::SHF_COMPRESSED), PART, "{section} is compressed");
    Ok(())
}

/// Collects what takes space in the image, by address, and checks that nothing overlaps.
fn image_sections<'data>(all: &[Section<'data>], header: &Header) -> Result<Vec<Section<'data>>> {
    let in_image =
        |section: &&Section<'_>| section.has(elf::SHF_ALLOC) && section.size != 0 && !section.is_tbss();
    let mut image: Vec<Section<'data>> = Vec::with_capacity(all.len());
    image.extend(all.iter().filter(in_image));
    image.sort_by_key(|section| section.addr);
    for pair in image.windows(2) {
        let (first, second) = (&pair[0], &pair[1]);
        let apart = first.end() <= second.addr;
        check!(apart, PART, "{first} and {second} overlap");
    }
    let headers = 0..header.program_headers_end();
    for section in image.iter().filter(|section| !section.is_nobits()) {
        let range = section.offset..section.offset.saturating_add(section.size);
        check!(!overlap(&range, &headers), PART, "{section} overlaps the program headers");
    }
    Ok(image)
}

/// The thread-local storage block that `.tdata` and `.tbss` make up.
fn tls_template(all: &[Section<'_>]) -> Result<Option<TlsTemplate>> {
    let is_tls = |section: &&Section<'_>| {
        section.has(elf::SHF_TLS) && section.has(elf::SHF_ALLOC) && section.size != 0
    };
    let mut sections: Vec<_> = all.iter().filter(is_tls).collect();
    sections.sort_by_key(|section| (section.addr, section.is_nobits()));
    let Some(first) = sections.first() else {
        return Ok(None);
    };
    let mut tls = TlsTemplate { vaddr: first.addr, filesz: 0, memsz: 0, align: 1 };
    let mut end = first.addr;
    for section in sections {
        let adjacent = section.addr == align_up(end, section.align);
        check!(adjacent, PART, "{section} is not next to its neighbour");
        end = section.end();
        tls.memsz = end.saturating_sub(tls.vaddr);
        tls.align = tls.align.max(section.align);
        if !section.is_nobits() {
            check!(tls.filesz == 0 || section.addr > tls.vaddr, PART, "{section} is out of order");
            tls.filesz = tls.memsz;
        }
    }
    if tls.memsz > MAX_TLS || tls.align > MAX_TLS_ALIGN {
        let what = format!("{} bytes of thread-local storage aligned to {}", tls.memsz, tls.align);
        return Err(ImageError::Unsupported { what, advice: "make the thread-locals smaller" });
    }
    Ok(Some(tls))
}

/// More thread-local storage than this cannot be given to every thread; glibc aborts when it fails to allocate it.
const MAX_TLS: u64 = 1 << 28;
/// The largest alignment of thread-local storage.
const MAX_TLS_ALIGN: u64 = 1 << 16;

fn ranges(image: &[Section<'_>], flag: SectionFlags) -> Ranges {
    let mut ranges = Ranges::default();
    for section in image.iter().filter(|section| section.has(flag)) {
        ranges.push(section.range());
    }
    ranges
}

fn writable_data(image: &[Section<'_>]) -> Ranges {
    let mut ranges = Ranges::default();
    for section in image {
        if section.has(elf::SHF_WRITE) && ![elf::SHT_DYNAMIC, elf::SHT_NOBITS].contains(&section.kind) {
            ranges.push(section.range());
        }
    }
    ranges
}
