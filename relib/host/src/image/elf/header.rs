//! The ELF header (gABI, "ELF Header"; checked by glibc in `open_verify` of `elf/dl-load.c`).

use object::LittleEndian as LE;
use object::elf::{self, FileHeader64, FileType};
use object::pod;
use object::read::ReadRef;

use super::machine;
use crate::image::error::{ImageError, Result, check, malformed};
use crate::image::source::Source;

const PART: &str = "the ELF header";

/// Size of the header, and the least size of a file that can be a library.
pub(super) const SIZE: u64 = size_of::<FileHeader64<LE>>() as u64;
/// Size of a program header.
pub(super) const PROGRAM_HEADER_SIZE: u64 = size_of::<elf::ProgramHeader64<LE>>() as u64;
/// Size of a section header.
pub(super) const SECTION_HEADER_SIZE: u64 = size_of::<elf::SectionHeader64<LE>>() as u64;

/// More segments than this have no use: linkers make about ten.
const MAX_SEGMENTS: u16 = 256;

/// The fields of the header that lead to the rest of the file.
pub(super) struct Header {
    /// `e_phoff`: offset of the program headers.
    pub(super) phoff: u64,
    /// `e_phnum`: number of program headers.
    pub(super) phnum: u16,
    /// `e_shoff`: offset of the section headers.
    pub(super) shoff: u64,
    /// `e_shnum`: number of section headers.
    pub(super) shnum: u16,
    /// `e_shstrndx`: index of the section that holds section names.
    pub(super) shstrndx: u16,
    entry: u64,
}

impl Header {
    /// Reads and checks the header.
    pub(super) fn read<'data, R: ReadRef<'data>>(source: &Source<'data, R>) -> Result<Self> {
        let start = source.bytes(PART, 0, source.len().min(SIZE))?;
        check_magic(start)?;
        source.require(PART, 0, SIZE)?;
        let (header, _) =
            pod::from_bytes::<FileHeader64<LE>>(start).map_err(|()| malformed(PART, "it cannot be read"))?;
        check_ident(header)?;
        check_kind(header)?;
        check_sizes(header)?;
        let header = Self {
            phoff: header.e_phoff.get(LE),
            phnum: header.e_phnum.get(LE),
            shoff: header.e_shoff.get(LE),
            shnum: header.e_shnum.get(LE),
            shstrndx: header.e_shstrndx.get(LE).0,
            entry: header.e_entry.get(LE),
        };
        header.check_tables(source)?;
        Ok(header)
    }

    /// End of the program headers. [`Header::read`] has checked that it lies inside the file.
    pub(super) fn program_headers_end(&self) -> u64 {
        self.phoff + u64::from(self.phnum) * PROGRAM_HEADER_SIZE
    }

    /// Checks that the entry point, if there is one, is code. Linkers give libraries one by habit.
    pub(super) fn check_entry(&self, is_code: impl Fn(u64) -> bool) -> Result<()> {
        let valid = self.entry == 0 || is_code(self.entry);
        check!(valid, PART, "e_entry {:#x} is not in an executable section", self.entry);
        Ok(())
    }

    fn check_tables<'data, R: ReadRef<'data>>(&self, source: &Source<'data, R>) -> Result<()> {
        check!(self.phoff >= SIZE && self.phoff.is_multiple_of(8), PART, "e_phoff is {:#x}", self.phoff);
        check!((1..=MAX_SEGMENTS).contains(&self.phnum), PART, "e_phnum is {}", self.phnum);
        source.require("the program headers", self.phoff, u64::from(self.phnum) * PROGRAM_HEADER_SIZE)?;
        if self.shoff == 0 || self.shnum == 0 {
            return Err(ImageError::Unsupported {
                what: "no section headers".to_owned(),
                advice: "relib checks a library against its section headers; keep them when stripping",
            });
        }
        check!(self.shoff >= SIZE && self.shoff.is_multiple_of(8), PART, "e_shoff is {:#x}", self.shoff);
        check!(self.shstrndx < self.shnum, PART, "e_shstrndx is {} of {}", self.shstrndx, self.shnum);
        source.require("the section headers", self.shoff, u64::from(self.shnum) * SECTION_HEADER_SIZE)
    }
}

/// Tells an ELF file, perhaps a short one, from everything else.
fn check_magic(start: &[u8]) -> Result<()> {
    if start.is_empty() {
        return Err(ImageError::Empty);
    }
    let magic = &start[..start.len().min(elf::ELFMAG.len())];
    if elf::ELFMAG.starts_with(magic) {
        Ok(())
    } else {
        Err(ImageError::UnknownFormat { found: describe(start) })
    }
}

/// Names what people load by mistake, by its first bytes.
fn describe(start: &[u8]) -> &'static str {
    const KINDS: [(&[u8], &str); 8] = [
        (b"MZ", "a Windows (PE) file"),
        (b"!<arch>\n", "a static library or Rust rlib (ar archive)"),
        (b"!<thin>\n", "a static library (thin ar archive)"),
        (b"\xcf\xfa\xed\xfe", "a macOS (Mach-O) file"),
        (b"\xca\xfe\xba\xbe", "a macOS universal (Mach-O) file"),
        (b"\0asm", "a WebAssembly module"),
        (b"BC\xc0\xde", "LLVM bitcode"),
        (b"#!", "a script"),
    ];
    let known = KINDS.iter().find(|(magic, _)| start.starts_with(magic));
    let text = || start.iter().all(|&byte| byte >= 0x20 || byte.is_ascii_whitespace());
    match known {
        Some((_, name)) => name,
        None if text() => "a text file",
        None => "a file of an unknown format",
    }
}

/// Checks `e_ident`: glibc compares these bytes with the ones it was built with.
fn check_ident(header: &FileHeader64<LE>) -> Result<()> {
    let ident = &header.e_ident;
    if ident.class != elf::ELFCLASS64 {
        check!(ident.class == elf::ELFCLASS32, PART, "EI_CLASS is {}", ident.class.0);
        return Err(ImageError::OtherClass { found: "32-bit", expected: "64-bit" });
    }
    if ident.data != elf::ELFDATA2LSB {
        check!(ident.data == elf::ELFDATA2MSB, PART, "EI_DATA is {}", ident.data.0);
        return Err(ImageError::OtherByteOrder { found: "big-endian", expected: "little-endian" });
    }
    check!(ident.version == elf::EV_CURRENT, PART, "EI_VERSION is {}", ident.version.0);
    let os = ident.os_abi;
    check!(os == elf::ELFOSABI_SYSV || os == elf::ELFOSABI_GNU, PART, "EI_OSABI is {}", os.0);
    check!(ident.abi_version == 0, PART, "EI_ABIVERSION is {}", ident.abi_version);
    check!(ident.padding == [0; 7], PART, "EI_PAD is not zero");
    Ok(())
}

/// Checks that the file is a shared object for this processor.
fn check_kind(header: &FileHeader64<LE>) -> Result<()> {
    let machine = header.e_machine.get(LE);
    if machine != machine::MACHINE {
        return Err(ImageError::OtherMachine { found: machine_name(machine), expected: machine::NAME });
    }
    match header.e_type.get(LE) {
        elf::ET_DYN => Ok(()),
        elf::ET_EXEC => Err(ImageError::NotALibrary { found: "an executable" }),
        elf::ET_REL => Err(ImageError::NotALibrary { found: "a relocatable object" }),
        elf::ET_CORE => Err(ImageError::NotALibrary { found: "a core file" }),
        FileType(other) => Err(malformed(PART, format!("e_type is {other}"))),
    }
}

/// Checks the fields that have one legal value.
fn check_sizes(header: &FileHeader64<LE>) -> Result<()> {
    let version = header.e_version.get(LE);
    check!(version == u32::from(elf::EV_CURRENT.0), PART, "e_version is {version}");
    let flags = header.e_flags.get(LE).0;
    check!(flags == 0, PART, "e_flags is {flags:#x}");
    let sizes = [
        ("e_ehsize", header.e_ehsize.get(LE), SIZE),
        ("e_phentsize", header.e_phentsize.get(LE), PROGRAM_HEADER_SIZE),
        ("e_shentsize", header.e_shentsize.get(LE), SECTION_HEADER_SIZE),
    ];
    for (name, found, expected) in sizes {
        check!(u64::from(found) == expected, PART, "{name} is {found}, not {expected}");
    }
    Ok(())
}

/// A readable name for a processor.
fn machine_name(machine: elf::Machine) -> String {
    let name = match machine {
        elf::EM_386 => "x86 (32-bit)",
        elf::EM_X86_64 => "x86-64",
        elf::EM_ARM => "Arm (32-bit)",
        elf::EM_AARCH64 => "AArch64",
        elf::EM_RISCV => "RISC-V",
        elf::EM_PPC64 => "PowerPC64",
        elf::EM_S390 => "IBM Z",
        elf::EM_LOONGARCH => "LoongArch",
        elf::EM_MIPS => "MIPS",
        elf::EM_BPF => "BPF",
        other => return format!("an unknown processor (e_machine {})", other.0),
    };
    name.to_owned()
}
