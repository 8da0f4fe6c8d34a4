//! The headers ("MS-DOS Stub", "COFF File Header", "Optional Header").

use object::pe::{self, ImageDataDirectory, ImageDosHeader, ImageNtHeaders64};
use object::pod;
use object::read::ReadRef;

use crate::image::error::{ImageError, Result, check, malformed};
use crate::image::source::Source;
use object::LittleEndian as LE;

const PART: &str = "the PE header";

/// The loader gives all images this number of directories.
const DIRECTORIES: u32 = 16;

/// The loader refuses more.
const MAX_SECTIONS: u16 = 96;

/// Upper bound of the size of an image: below it sums of a few addresses cannot overflow.
const MAX_IMAGE: u32 = 1 << 30;

const PAGE: u32 = 0x1000;

/// The unit in which addresses of images are given out.
const ALLOCATION_UNIT: u64 = 0x1_0000;

/// Upper end of the addresses of processes.
const MAX_BASE: u64 = 1 << 47;

/// The fields of the headers that lead to the rest of the file.
pub(super) struct Header {
    pub(super) image_base: u64,
    pub(super) section_alignment: u32,
    pub(super) file_alignment: u32,
    pub(super) size_of_image: u32,
    pub(super) size_of_headers: u32,
    pub(super) number_of_sections: u16,
    /// Offset of the section table.
    pub(super) section_table: u64,
    pub(super) checksum: u32,
    /// Offset of `CheckSum`.
    pub(super) checksum_offset: u64,
    pub(super) entry: u32,
    directories: [(u32, u32); DIRECTORIES as usize],
}

impl Header {
    /// Reads and checks the headers.
    pub(super) fn read<'data, R: ReadRef<'data>>(source: &Source<'data, R>) -> Result<Self> {
        let dos_size = size_of::<ImageDosHeader>() as u64;
        check_magic(source.bytes(PART, 0, source.len().min(dos_size))?)?;
        let dos = source.bytes(PART, 0, dos_size)?;
        let (dos, _) = pod::from_bytes::<ImageDosHeader>(dos).map_err(|()| malformed(PART, "it is short"))?;
        let offset = u64::from(dos.e_lfanew.get(LE));
        check!(offset >= dos_size && offset.is_multiple_of(8), PART, "e_lfanew is {offset:#x}");
        let size = size_of::<ImageNtHeaders64>() as u64;
        let bytes = source.bytes(PART, offset, size)?;
        let (nt, _) =
            pod::from_bytes::<ImageNtHeaders64>(bytes).map_err(|()| malformed(PART, "it cannot be read"))?;
        check!(nt.signature.get(LE) == pe::IMAGE_NT_SIGNATURE, PART, "the signature is wrong");
        check_kind(nt)?;
        check_values(nt)?;

        let optional = &nt.optional_header;
        let directory_size = size_of::<ImageDataDirectory>() as u64;
        let directories = source.table::<ImageDataDirectory>(
            PART,
            offset + size,
            u64::from(DIRECTORIES) * directory_size,
        )?;
        let header = Self {
            image_base: optional.image_base.get(LE),
            section_alignment: optional.section_alignment.get(LE),
            file_alignment: optional.file_alignment.get(LE),
            size_of_image: optional.size_of_image.get(LE),
            size_of_headers: optional.size_of_headers.get(LE),
            number_of_sections: nt.file_header.number_of_sections.get(LE),
            section_table: offset + size + u64::from(DIRECTORIES) * directory_size,
            checksum: optional.check_sum.get(LE),
            checksum_offset: offset + CHECKSUM_OFFSET,
            entry: optional.address_of_entry_point.get(LE),
            directories: std::array::from_fn(|index| {
                (directories[index].virtual_address.get(LE), directories[index].size.get(LE))
            }),
        };
        header.check_layout(source)?;
        check_symbols(source, nt)?;
        Ok(header)
    }

    /// Address and size of a data directory; `None` if there is none.
    pub(super) fn directory(&self, index: usize) -> Option<(u32, u32)> {
        Some(self.directories[index]).filter(|directory| *directory != (0, 0))
    }

    /// The address, relative to the image, of an absolute one that the loader will relocate.
    pub(super) fn relative(&self, address: u64) -> Option<u32> {
        let relative = u32::try_from(address.checked_sub(self.image_base)?).ok()?;
        (relative < self.size_of_image).then_some(relative)
    }

    /// Checks that the entry point, if there is one, is code.
    pub(super) fn check_entry(&self, is_code: impl Fn(u32) -> bool) -> Result<()> {
        let valid = self.entry == 0 || is_code(self.entry);
        check!(valid, PART, "AddressOfEntryPoint {:#x} is not in an executable section", self.entry);
        Ok(())
    }

    fn check_layout<'data, R: ReadRef<'data>>(&self, source: &Source<'data, R>) -> Result<()> {
        let alignments = (self.section_alignment, self.file_alignment);
        let valid = self.section_alignment.is_power_of_two()
            && (PAGE..=1 << 24).contains(&self.section_alignment)
            && self.file_alignment.is_power_of_two()
            && (0x200..=0x1_0000).contains(&self.file_alignment)
            && self.file_alignment <= self.section_alignment;
        check!(valid, PART, "the alignments are {:#x} and {:#x}", alignments.0, alignments.1);
        let base = self.image_base;
        let valid = base.is_multiple_of(ALLOCATION_UNIT) && (ALLOCATION_UNIT..MAX_BASE).contains(&base);
        check!(valid, PART, "ImageBase is {base:#x}");
        let size = self.size_of_image;
        let valid = size <= MAX_IMAGE && size.is_multiple_of(self.section_alignment);
        check!(valid, PART, "SizeOfImage is {size:#x}");
        let end = self.section_table
            + u64::from(self.number_of_sections) * size_of::<pe::ImageSectionHeader>() as u64;
        let headers = self.size_of_headers;
        let valid =
            headers.is_multiple_of(self.file_alignment) && u64::from(headers) >= end && headers < size;
        check!(valid, PART, "SizeOfHeaders is {headers:#x}, and the section table ends at {end:#x}");
        source.require("the headers", 0, u64::from(headers))
    }
}

/// Checks that the table of symbols and their names, which GNU linkers write last, is there: no loader reads it, but
/// without it the file is still being written.
fn check_symbols<'data, R: ReadRef<'data>>(source: &Source<'data, R>, nt: &ImageNtHeaders64) -> Result<()> {
    const SYMBOL: u64 = 18;
    let table = u64::from(nt.file_header.pointer_to_symbol_table.get(LE));
    if table == 0 {
        return Ok(());
    }
    let names = table + u64::from(nt.file_header.number_of_symbols.get(LE)) * SYMBOL;
    // The length of the names includes itself.
    let len = source.bytes("the symbol table", names, size_of::<u32>() as u64)?;
    let len = len.iter().rev().fold(0, |len, byte| len << 8 | u64::from(*byte));
    source.require("the names of symbols", names, len)
}

/// Offset of `CheckSum` from the signature.
const CHECKSUM_OFFSET: u64 = 4 + 20 + 64;

/// Tells a PE file, perhaps a short one, from everything else.
fn check_magic(start: &[u8]) -> Result<()> {
    let found = match start {
        [] => return Err(ImageError::Empty),
        [b'M'] | [b'M', b'Z', ..] => return Ok(()),
        [0x7f, b'E', b'L', b'F', ..] => "an ELF file, which is for Unix",
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => "a static library",
        _ if start.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => "a text file",
        _ => "something else",
    };
    Err(ImageError::UnknownFormat { found })
}

/// Checks what kind of file it is.
fn check_kind(nt: &ImageNtHeaders64) -> Result<()> {
    const EXPECTED: &str = "x86_64";
    let machine = nt.file_header.machine.get(LE);
    let found = match machine {
        pe::IMAGE_FILE_MACHINE_AMD64 => None,
        pe::IMAGE_FILE_MACHINE_I386 => Some("x86 (32 bits)".to_owned()),
        pe::IMAGE_FILE_MACHINE_ARM64 => Some("aarch64".to_owned()),
        other => Some(format!("machine {other:?}")),
    };
    if let Some(found) = found {
        return Err(ImageError::OtherMachine { found, expected: EXPECTED });
    }
    let magic = nt.optional_header.magic.get(LE);
    if magic == pe::IMAGE_NT_OPTIONAL_HDR32_MAGIC {
        return Err(ImageError::OtherClass { found: "32-bit", expected: "64-bit" });
    }
    check!(magic == pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC, PART, "the magic number is wrong");
    let characteristics = nt.file_header.characteristics.get(LE);
    check!(characteristics.contains(pe::IMAGE_FILE_EXECUTABLE_IMAGE), PART, "it is not an image");
    if !characteristics.contains(pe::IMAGE_FILE_DLL) {
        return Err(ImageError::NotALibrary { found: "an executable" });
    }
    if characteristics.contains(pe::IMAGE_FILE_RELOCS_STRIPPED) {
        return Err(ImageError::Unsupported {
            what: "a fixed address".to_owned(),
            advice: "link it with base relocations, as is the default",
        });
    }
    Ok(())
}

/// Checks the fields that lead nowhere, but that the loader refuses or acts on.
fn check_values(nt: &ImageNtHeaders64) -> Result<()> {
    let optional = &nt.optional_header;
    let sections = nt.file_header.number_of_sections.get(LE);
    check!((1..=MAX_SECTIONS).contains(&sections), PART, "NumberOfSections is {sections}");
    let directories = optional.number_of_rva_and_sizes.get(LE);
    check!(directories == DIRECTORIES, PART, "NumberOfRvaAndSizes is {directories}");
    let size = nt.file_header.size_of_optional_header.get(LE);
    let expected = size_of::<pe::ImageOptionalHeader64>() + DIRECTORIES as usize * 8;
    check!(usize::from(size) == expected, PART, "SizeOfOptionalHeader is {size}");
    let version = optional.major_subsystem_version.get(LE);
    check!((3..=10).contains(&version), PART, "MajorSubsystemVersion is {version}");
    let subsystem = optional.subsystem.get(LE);
    let valid = [pe::IMAGE_SUBSYSTEM_WINDOWS_GUI, pe::IMAGE_SUBSYSTEM_WINDOWS_CUI].contains(&subsystem);
    check!(valid, PART, "the subsystem is that of no program for Windows");
    check!(optional.win32_version_value.get(LE) == 0, PART, "Win32VersionValue is not zero");
    check!(optional.loader_flags.get(LE) == 0, PART, "LoaderFlags is not zero");
    // High entropy addresses, dynamic base, NX, no isolation, no SEH, no binding, control flow guard, terminal server.
    const KNOWN: u16 = 0x20 | 0x40 | 0x100 | 0x200 | 0x400 | 0x800 | 0x4000 | 0x8000;
    let characteristics = optional.dll_characteristics.get(LE).0;
    check!(characteristics & !KNOWN == 0, PART, "DllCharacteristics is {characteristics:#x}");
    Ok(())
}
