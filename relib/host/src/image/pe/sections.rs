//! The section table ("Section Table"), by which the loader maps the file.

use object::pe::{self, ImageSectionHeader};
use object::read::ReadRef;

use super::header::Header;
use crate::image::error::{ImageError, Result, check, malformed};
use crate::image::source::Source;
use object::LittleEndian as LE;

const PART: &str = "the section table";

/// A section of the image; addresses are relative to the image's.
#[derive(Clone, Debug)]
pub(super) struct Section {
    name: String,
    pub(super) start: u32,
    /// Size in memory.
    pub(super) size: u32,
    file_offset: u32,
    /// How many of the bytes in memory come from the file; the rest is zero.
    file_size: u32,
    characteristics: u32,
}

impl Section {
    fn end(&self) -> u32 {
        self.start + self.size
    }

    fn contains(&self, address: u32, size: u32) -> bool {
        address >= self.start && address.checked_add(size).is_some_and(|end| end <= self.end())
    }

    /// Whether these bytes of the section come from the file.
    pub(super) fn is_in_file(&self, address: u32, size: u32) -> bool {
        self.contains(address, size) && address - self.start + size <= self.file_size
    }

    fn has(&self, characteristic: u32) -> bool {
        self.characteristics & characteristic != 0
    }
}

/// All sections, in the order of their addresses, which the loader maps one behind the other.
pub(super) struct Sections(Vec<Section>);

const MEM_SHARED: u32 = 0x1000_0000;
const MEM_EXECUTE: u32 = 0x2000_0000;
const MEM_READ: u32 = 0x4000_0000;
const MEM_WRITE: u32 = 0x8000_0000;

impl Sections {
    /// Reads and checks the table.
    pub(super) fn read<'data, R: ReadRef<'data>>(source: &Source<'data, R>, header: &Header) -> Result<Self> {
        let size = u64::from(header.number_of_sections) * size_of::<ImageSectionHeader>() as u64;
        let table = source.table::<ImageSectionHeader>(PART, header.section_table, size)?;
        let align = |address: u32| {
            address
                .checked_next_multiple_of(header.section_alignment)
                .filter(|end| *end <= header.size_of_image)
                .ok_or_else(|| malformed(PART, "a section ends behind the image"))
        };
        let mut next = align(header.size_of_headers)?;
        let mut file_end = header.size_of_headers;
        let mut sections = Vec::with_capacity(table.len());
        for raw in table {
            let section = section(raw, source, header)?;
            let name = &section.name;
            check!(section.start == next, PART, "{name} is at {:#x} and not at {next:#x}", section.start);
            next = align(
                section
                    .start
                    .checked_add(section.size)
                    .ok_or_else(|| malformed(PART, "a size is too large"))?,
            )?;
            if section.file_offset > 0 {
                check!(section.file_offset >= file_end, PART, "{name} overlaps another section in the file");
                file_end = section.file_offset + section.file_size;
            }
            sections.push(section);
        }
        check!(next == header.size_of_image, PART, "the sections end at {next:#x} and not with the image");
        Ok(Self(sections))
    }

    /// The section with this name, of which there must be one at most.
    pub(super) fn only_named(&self, name: &str) -> Result<Option<&Section>> {
        let mut named = self.0.iter().filter(|section| section.name == name);
        let first = named.next();
        check!(named.next().is_none(), PART, "there are several sections {name}");
        Ok(first)
    }

    /// The section that these bytes are in.
    pub(super) fn at(&self, part: &'static str, address: u32, size: u32) -> Result<&Section> {
        self.0
            .iter()
            .find(|section| section.contains(address, size))
            .ok_or_else(|| malformed(part, format!("{size} bytes at {address:#x} are in no section")))
    }

    pub(super) fn is_code(&self, address: u32) -> bool {
        self.0.iter().any(|section| section.has(MEM_EXECUTE) && section.contains(address, 1))
    }

    /// From the first address of code to the last.
    pub(super) fn code(&self) -> std::ops::Range<u64> {
        let mut code = self.0.iter().filter(|section| section.has(MEM_EXECUTE));
        let first = code.next().map_or(0..0, |section| section.start.into()..section.end().into());
        code.fold(first, |code: std::ops::Range<u64>, section| code.start..section.end().into())
    }

    pub(super) fn is_writable(&self, address: u32, size: u32) -> bool {
        self.0.iter().any(|section| section.has(MEM_WRITE) && section.contains(address, size))
    }

    /// The bytes that the file has for these addresses.
    pub(super) fn bytes<'data, R: ReadRef<'data>>(
        &self,
        source: &Source<'data, R>,
        part: &'static str,
        address: u32,
        size: u32,
    ) -> Result<&'data [u8]> {
        let section = self.at(part, address, size)?;
        check!(section.is_in_file(address, size), part, "{size} bytes at {address:#x} are not in the file");
        source.bytes(part, u64::from(section.file_offset + (address - section.start)), u64::from(size))
    }

    /// The bytes of the file from an address to the end of its section.
    pub(super) fn bytes_from<'data, R: ReadRef<'data>>(
        &self,
        source: &Source<'data, R>,
        part: &'static str,
        address: u32,
    ) -> Result<&'data [u8]> {
        let section = self.at(part, address, 1)?;
        let at = address - section.start;
        check!(at < section.file_size, part, "{address:#x} is not in the file");
        // The whole section, which is read from the file once however many addresses are asked for.
        let bytes = source.bytes(part, u64::from(section.file_offset), u64::from(section.file_size))?;
        Ok(&bytes[at as usize..])
    }

    /// How many bytes the image has from an address to the end of its section.
    pub(super) fn len_from(&self, part: &'static str, address: u32) -> Result<u32> {
        Ok(self.at(part, address, 1)?.end() - address)
    }
}

fn section<'data, R: ReadRef<'data>>(
    raw: &ImageSectionHeader,
    source: &Source<'data, R>,
    header: &Header,
) -> Result<Section> {
    let name = raw.name.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name).into_owned();
    let raw_size = raw.size_of_raw_data.get(LE);
    let file_offset = raw.pointer_to_raw_data.get(LE);
    let size = raw.virtual_size.get(LE);
    check!(size > 0, PART, "{name} has no size");
    let in_file = raw_size > 0;
    if in_file {
        let valid = raw_size.is_multiple_of(header.file_alignment)
            && file_offset.is_multiple_of(header.file_alignment)
            && file_offset > 0;
        check!(valid, PART, "{name} is not aligned in the file");
        source.require(format_args!("the section {name}"), u64::from(file_offset), u64::from(raw_size))?;
        let in_memory = u64::from(size).next_multiple_of(u64::from(header.section_alignment));
        let valid = u64::from(raw_size) < in_memory + u64::from(header.file_alignment);
        check!(valid, PART, "{name} has more bytes in the file than in memory");
    } else {
        // The place should be zero (PE/COFF, "Section Table"). A loader that rounds it down to a sector, and its end up, maps
        // that sector if it is not aligned, and the memory does not begin with zeros.
        let valid = file_offset.is_multiple_of(header.file_alignment);
        check!(valid, PART, "{name} has no bytes in the file, but a place in it that is not aligned");
    }
    let relocations = (raw.pointer_to_relocations.get(LE), raw.number_of_relocations.get(LE));
    check!(relocations == (0, 0), PART, "{name} has relocations of an object file");
    let characteristics = raw.characteristics.get(LE).0;
    check!(characteristics & MEM_READ != 0, PART, "{name} cannot be read");
    let valid = characteristics & MEM_EXECUTE == 0 || raw_size >= size;
    check!(valid, PART, "{name} has less code in the file than in memory");
    if characteristics & MEM_SHARED != 0 {
        return Err(ImageError::Unsupported {
            what: format!("the section {name}, which is shared between processes"),
            advice: "an unload could not make its contents new; share memory by a file mapping",
        });
    }
    Ok(Section {
        name,
        start: raw.virtual_address.get(LE),
        size,
        file_offset: if in_file { file_offset } else { 0 },
        file_size: if in_file { raw_size.min(size) } else { 0 },
        characteristics,
    })
}

// Only for its constants to be checked against ours.
const _: () = assert!(
    pe::IMAGE_SCN_MEM_SHARED.0 == MEM_SHARED
        && pe::IMAGE_SCN_MEM_EXECUTE.0 == MEM_EXECUTE
        && pe::IMAGE_SCN_MEM_READ.0 == MEM_READ
        && pe::IMAGE_SCN_MEM_WRITE.0 == MEM_WRITE
);
