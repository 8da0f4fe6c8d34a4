//! The dynamic section (gABI, "Dynamic Section"; `elf_get_dynamic_info` of glibc's `elf/get-dynamic-info.h`).
//!
//! glibc takes every address and size from here, and several values it asserts instead of checking. Each entry
//! must therefore equal the section it stands for, and each section must have its entry.

use object::LittleEndian as LE;
use object::elf::{self, Dyn64, DynamicTag, Rela64, Sym64};
use object::read::ReadRef;

use super::sections::{Section, Sections};
use super::symbols::Symbols;
use crate::image::contents::{Constructors, PatchSite};
use crate::image::error::{ImageError, Result, check, malformed};
use crate::image::source::Source;

const PART: &str = "the dynamic section";

/// Size of an entry of DT_RELR.
pub(super) const RELR_SIZE: u64 = 8;

/// More libraries than this have no use.
const MAX_NEEDED: usize = 1024;

/// Entries that may be present in a library that relib loads.
const KNOWN: [(DynamicTag, &str); 41] = [
    (elf::DT_NEEDED, "DT_NEEDED"),
    (elf::DT_PLTRELSZ, "DT_PLTRELSZ"),
    (elf::DT_PLTGOT, "DT_PLTGOT"),
    (elf::DT_HASH, "DT_HASH"),
    (elf::DT_STRTAB, "DT_STRTAB"),
    (elf::DT_SYMTAB, "DT_SYMTAB"),
    (elf::DT_RELA, "DT_RELA"),
    (elf::DT_RELASZ, "DT_RELASZ"),
    (elf::DT_RELAENT, "DT_RELAENT"),
    (elf::DT_STRSZ, "DT_STRSZ"),
    (elf::DT_SYMENT, "DT_SYMENT"),
    (elf::DT_INIT, "DT_INIT"),
    (elf::DT_FINI, "DT_FINI"),
    (elf::DT_SONAME, "DT_SONAME"),
    (elf::DT_RPATH, "DT_RPATH"),
    (elf::DT_SYMBOLIC, "DT_SYMBOLIC"),
    (elf::DT_PLTREL, "DT_PLTREL"),
    (elf::DT_DEBUG, "DT_DEBUG"),
    (elf::DT_JMPREL, "DT_JMPREL"),
    (elf::DT_BIND_NOW, "DT_BIND_NOW"),
    (elf::DT_INIT_ARRAY, "DT_INIT_ARRAY"),
    (elf::DT_FINI_ARRAY, "DT_FINI_ARRAY"),
    (elf::DT_INIT_ARRAYSZ, "DT_INIT_ARRAYSZ"),
    (elf::DT_FINI_ARRAYSZ, "DT_FINI_ARRAYSZ"),
    (elf::DT_RUNPATH, "DT_RUNPATH"),
    (elf::DT_FLAGS, "DT_FLAGS"),
    (elf::DT_RELRSZ, "DT_RELRSZ"),
    (elf::DT_RELR, "DT_RELR"),
    (elf::DT_RELRENT, "DT_RELRENT"),
    (elf::DT_GNU_HASH, "DT_GNU_HASH"),
    (elf::DT_TLSDESC_PLT, "DT_TLSDESC_PLT"),
    (elf::DT_TLSDESC_GOT, "DT_TLSDESC_GOT"),
    (elf::DT_VERSYM, "DT_VERSYM"),
    (elf::DT_RELACOUNT, "DT_RELACOUNT"),
    (elf::DT_FLAGS_1, "DT_FLAGS_1"),
    (elf::DT_VERDEF, "DT_VERDEF"),
    (elf::DT_VERDEFNUM, "DT_VERDEFNUM"),
    (elf::DT_VERNEED, "DT_VERNEED"),
    (elf::DT_VERNEEDNUM, "DT_VERNEEDNUM"),
    (elf::DT_TEXTREL, "DT_TEXTREL"),
    (elf::DT_PREINIT_ARRAY, "DT_PREINIT_ARRAY"),
];

/// Entries that make glibc load or consult other code than the library itself.
const FOREIGN: [(DynamicTag, &str); 5] = [
    (elf::DT_AUXILIARY, "DT_AUXILIARY"),
    (elf::DT_FILTER, "DT_FILTER"),
    (elf::DT_AUDIT, "DT_AUDIT"),
    (elf::DT_DEPAUDIT, "DT_DEPAUDIT"),
    (elf::DT_CONFIG, "DT_CONFIG"),
];

/// Flags in `DT_FLAGS_1` that relib does not support, by the options that set them.
const LINKER_OPTIONS: [(u64, &str); 5] = [
    (elf::DF_1_GLOBAL.0, "-z global"),
    (elf::DF_1_INITFIRST.0, "-z initfirst"),
    (elf::DF_1_INTERPOSE.0, "-z interpose"),
    (elf::DF_1_NOOPEN.0, "-z nodlopen"),
    (elf::DF_1_LOADFLTR.0, "-z loadfltr"),
];

/// The entries of the dynamic section.
pub(super) struct Dynamic {
    /// Tag, value, and index in the section, of what precedes DT_NULL.
    entries: Vec<(DynamicTag, u64, u64)>,
    file_offset: u64,
    vaddr: u64,
}

impl Dynamic {
    /// Reads the entries and checks that their tags are known and unique.
    pub(super) fn read<'data, R: ReadRef<'data>>(
        source: &Source<'data, R>,
        sections: &Sections<'data>,
    ) -> Result<Self> {
        let section = sections
            .only(elf::SHT_DYNAMIC)?
            .ok_or_else(|| malformed(PART, "it is missing although PT_DYNAMIC is not"))?;
        let table: &[Dyn64<LE>] = section.table(source)?;
        let entry = |entry: &Dyn64<LE>| (entry.d_tag.get(LE), entry.d_val.get(LE));
        let count = table.iter().take_while(|dynamic| entry(dynamic).0 != elf::DT_NULL).count();
        check!(count < table.len(), PART, "it does not end with DT_NULL");
        // Tools that take an entry out leave its value behind.
        let padding = table[count..].iter().all(|dynamic| entry(dynamic).0 == elf::DT_NULL);
        check!(padding, PART, "there are entries after DT_NULL");
        let mut entries: Vec<(DynamicTag, u64, u64)> = Vec::with_capacity(count);
        for (index, (tag, value)) in (0..).zip(table[..count].iter().map(entry)) {
            check_tag(tag)?;
            let repeated = tag != elf::DT_NEEDED && entries.iter().any(|(other, ..)| *other == tag);
            check!(!repeated, PART, "{} occurs twice", name(tag));
            entries.push((tag, value, index));
        }
        Ok(Self { entries, file_offset: section.offset, vaddr: section.addr })
    }

    /// The value of the entry with this tag.
    pub(super) fn get(&self, tag: DynamicTag) -> Option<u64> {
        self.entries.iter().find(|(other, ..)| *other == tag).map(|(_, value, _)| *value)
    }

    /// Where the value of an entry stands in the file and in the image.
    pub(super) fn patch_site(&self, tag: DynamicTag) -> Option<PatchSite> {
        const ENTRY: u64 = size_of::<Dyn64<LE>>() as u64;
        /// Offset of `d_un` in `Elf64_Dyn`.
        const D_UN: u64 = 8;
        let (_, value, index) = self.entries.iter().find(|(other, ..)| *other == tag)?;
        let distance = index * ENTRY + D_UN;
        Some(PatchSite {
            file_offset: self.file_offset + distance,
            vaddr: self.vaddr + distance,
            value: *value,
        })
    }

    /// The array of constructors, if the file has one.
    pub(super) fn constructors(&self) -> Option<Constructors> {
        let start = self.get(elf::DT_INIT_ARRAY)?;
        let size = self.patch_site(elf::DT_INIT_ARRAYSZ)?;
        Some(Constructors { array: start..start.saturating_add(size.value), size })
    }

    /// Checks every entry against the sections. Returns the names of the libraries that the file needs.
    pub(super) fn check(&self, sections: &Sections<'_>, symbols: &Symbols<'_>) -> Result<Vec<String>> {
        self.check_flags()?;
        self.check_symbol_tables(sections, symbols)?;
        self.check_version_tables(sections)?;
        self.check_relocation_tables(sections)?;
        self.check_constructors(sections)?;
        self.check_got(sections)?;
        self.check_strings(symbols)
    }

    /// Refuses flags that glibc acts on in a way that an unload could not undo.
    fn check_flags(&self) -> Result<()> {
        let known = elf::DF_ORIGIN.0 | elf::DF_SYMBOLIC.0 | elf::DF_BIND_NOW.0 | elf::DF_STATIC_TLS.0;
        let flags = self.get(elf::DT_FLAGS).unwrap_or(0);
        if flags & elf::DF_TEXTREL.0 != 0 || self.get(elf::DT_TEXTREL).is_some() {
            let what = "relocations of code (DT_TEXTREL)".to_owned();
            return Err(ImageError::Unsupported { what, advice: "compile everything with -fPIC" });
        }
        check!(flags & !known & !elf::DF_TEXTREL.0 == 0, PART, "DT_FLAGS is {flags:#x}");
        let flags_1 = self.get(elf::DT_FLAGS_1).unwrap_or(0);
        if flags_1 & elf::DF_1_PIE.0 != 0 {
            return Err(ImageError::NotALibrary { found: "an executable" });
        }
        let known_1 = elf::DF_1_NOW.0
            | elf::DF_1_NODELETE.0
            | elf::DF_1_ORIGIN.0
            | elf::DF_1_NODEFLIB.0
            | elf::DF_1_NODUMP.0;
        let others = flags_1 & !known_1;
        if others != 0 {
            let option = LINKER_OPTIONS.iter().find(|(flag, _)| flags_1 & flag != 0);
            let what = match option {
                Some((_, option)) => format!("the linker option {option}"),
                None => format!("the flags {others:#x} in DT_FLAGS_1"),
            };
            return Err(ImageError::Unsupported { what, advice: "link without it" });
        }
        Ok(())
    }

    fn check_symbol_tables(&self, sections: &Sections<'_>, symbols: &Symbols<'_>) -> Result<()> {
        self.check_address(elf::DT_SYMTAB, Some(symbols.section()))?;
        self.check_value(elf::DT_SYMENT, size_of::<Sym64<LE>>() as u64)?;
        self.check_table(elf::DT_STRTAB, elf::DT_STRSZ, Some(symbols.strings_section()))?;
        let (gnu_hash, hash) = (sections.only(elf::SHT_GNU_HASH)?, sections.only(elf::SHT_HASH)?);
        check!(gnu_hash.or(hash).is_some(), PART, "there is no hash table of symbols");
        self.check_address(elf::DT_GNU_HASH, gnu_hash)?;
        self.check_address(elf::DT_HASH, hash)
    }

    fn check_version_tables(&self, sections: &Sections<'_>) -> Result<()> {
        self.check_address(elf::DT_VERSYM, sections.only(elf::SHT_GNU_VERSYM)?)?;
        let counted = [
            (elf::SHT_GNU_VERNEED, elf::DT_VERNEED, elf::DT_VERNEEDNUM),
            (elf::SHT_GNU_VERDEF, elf::DT_VERDEF, elf::DT_VERDEFNUM),
        ];
        for (kind, address, count) in counted {
            let section = sections.only(kind)?;
            self.check_address(address, section)?;
            self.check_optional(count, section.map(|section| section.info.into()))?;
        }
        Ok(())
    }

    fn check_relocation_tables(&self, sections: &Sections<'_>) -> Result<()> {
        let relocations = |tag| {
            let at = move |address| move |section: &&Section<'_>| section.addr == address;
            self.get(tag).and_then(|address| sections.of_kind(elf::SHT_RELA).find(at(address)))
        };
        let (rela, jmprel) = (relocations(elf::DT_RELA), relocations(elf::DT_JMPREL));
        self.check_table(elf::DT_RELA, elf::DT_RELASZ, rela)?;
        self.check_table(elf::DT_JMPREL, elf::DT_PLTRELSZ, jmprel)?;
        let named = [rela, jmprel].iter().flatten().count();
        let distinct =
            rela.is_none() || rela.map(|section| section.addr) != jmprel.map(|section| section.addr);
        let complete = distinct && named == sections.of_kind(elf::SHT_RELA).count();
        check!(complete, PART, "DT_RELA and DT_JMPREL do not name all sections of relocations");
        check!(sections.only(elf::SHT_REL)?.is_none(), PART, "there are relocations without addends");
        let rela_entry = size_of::<Rela64<LE>>() as u64;
        self.check_optional(elf::DT_RELAENT, rela.map(|_| rela_entry))?;
        self.check_optional(elf::DT_PLTREL, jmprel.map(|_| elf::DT_RELA.0.unsigned_abs()))?;
        let relr = sections.only(elf::SHT_RELR)?;
        self.check_table(elf::DT_RELR, elf::DT_RELRSZ, relr)?;
        self.check_optional(elf::DT_RELRENT, relr.map(|_| RELR_SIZE))
    }

    /// Checks what `_dl_init` and `_dl_fini` call.
    fn check_constructors(&self, sections: &Sections<'_>) -> Result<()> {
        self.check_table(elf::DT_INIT_ARRAY, elf::DT_INIT_ARRAYSZ, sections.only(elf::SHT_INIT_ARRAY)?)?;
        self.check_table(elf::DT_FINI_ARRAY, elf::DT_FINI_ARRAYSZ, sections.only(elf::SHT_FINI_ARRAY)?)?;
        for (tag, section) in [(elf::DT_INIT, ".init"), (elf::DT_FINI, ".fini")] {
            let section = sections.only_named(section.as_bytes())?;
            if self.get(tag).is_some_and(|address| section.is_none_or(|section| section.addr != address)) {
                return Err(ImageError::Unsupported {
                    what: format!("a function of its own as {}", name(tag)),
                    advice: "link without -init and -fini; use .init_array and .fini_array",
                });
            }
            self.check_address(tag, section)?;
            let code = section.is_none_or(|section| section.has(elf::SHF_EXECINSTR));
            check!(code, PART, "{} does not name code", name(tag));
        }
        let preinit =
            self.get(elf::DT_PREINIT_ARRAY).is_none() && sections.only(elf::SHT_PREINIT_ARRAY)?.is_none();
        check!(preinit, PART, "DT_PREINIT_ARRAY is for executables");
        Ok(())
    }

    /// Checks the entries for lazy binding. relib never binds lazily, but glibc relocates these addresses.
    fn check_got(&self, sections: &Sections<'_>) -> Result<()> {
        if let Some(address) = self.get(elf::DT_PLTGOT) {
            let tables = [sections.only_named(b".got.plt")?, sections.only_named(b".got")?];
            let valid = tables.iter().flatten().any(|section| section.addr == address);
            check!(valid, PART, "DT_PLTGOT is {address:#x}, which is no .got or .got.plt");
        }
        if let Some(address) = self.get(elf::DT_TLSDESC_PLT) {
            check!(sections.code().contains(address, 1), PART, "DT_TLSDESC_PLT is not code");
        }
        if let Some(address) = self.get(elf::DT_TLSDESC_GOT) {
            check!(sections.data().contains(address, 8), PART, "DT_TLSDESC_GOT is not writable");
        }
        Ok(())
    }

    /// Checks entries that are offsets of strings.
    fn check_strings(&self, symbols: &Symbols<'_>) -> Result<Vec<String>> {
        for tag in [elf::DT_SONAME, elf::DT_RPATH, elf::DT_RUNPATH] {
            self.get(tag).map_or(Ok(&[][..]), |offset| symbols.string(offset))?;
        }
        let needed: Vec<_> = self.entries.iter().filter(|(tag, ..)| *tag == elf::DT_NEEDED).collect();
        check!(needed.len() <= MAX_NEEDED, PART, "there are {} entries of DT_NEEDED", needed.len());
        needed.iter().map(|(_, offset, _)| library_name(symbols.string(*offset)?)).collect()
    }

    /// Checks that an address and a size are those of a section, or that all three are absent.
    fn check_table(
        &self,
        address: DynamicTag,
        size: DynamicTag,
        section: Option<&Section<'_>>,
    ) -> Result<()> {
        self.check_address(address, section)?;
        self.check_optional(size, section.map(|section| section.size))
    }

    /// Checks that an address is that of a section, or that both are absent.
    fn check_address(&self, tag: DynamicTag, section: Option<&Section<'_>>) -> Result<()> {
        self.check_optional(tag, section.map(|section| section.addr))
    }

    /// Checks that an entry has a value, or that both are absent.
    fn check_optional(&self, tag: DynamicTag, expected: Option<u64>) -> Result<()> {
        match (self.get(tag), expected) {
            (None, None) => Ok(()),
            (_, Some(expected)) => self.check_value(tag, expected),
            (Some(value), None) => {
                Err(malformed(PART, format!("{} is {value:#x}, for no section", name(tag))))
            }
        }
    }

    fn check_value(&self, tag: DynamicTag, expected: u64) -> Result<()> {
        match self.get(tag) {
            Some(value) if value == expected => Ok(()),
            Some(value) => {
                let detail =
                    format!("{} is {value:#x}, but the section headers say {expected:#x}", name(tag));
                Err(malformed(PART, detail))
            }
            None => Err(malformed(PART, format!("{} is missing", name(tag)))),
        }
    }
}

fn check_tag(tag: DynamicTag) -> Result<()> {
    if let Some((_, name)) = FOREIGN.iter().find(|(foreign, _)| *foreign == tag) {
        return Err(ImageError::Unsupported {
            what: format!("{name}, which brings in other code"),
            advice: "link without filters and auditors",
        });
    }
    check!(KNOWN.iter().any(|(known, _)| *known == tag), PART, "the tag {:#x} is unknown", tag.0);
    Ok(())
}

fn name(tag: DynamicTag) -> &'static str {
    KNOWN.iter().find(|(known, _)| *known == tag).map_or("an unknown tag", |(_, name)| name)
}

/// A name that a library can have.
fn library_name(name: &[u8]) -> Result<String> {
    let valid = !name.is_empty() && name.iter().all(|byte| !byte.is_ascii_control());
    let text = std::str::from_utf8(name).ok().filter(|_| valid);
    let text = text.ok_or_else(|| malformed(PART, "DT_NEEDED is not a library name"))?;
    Ok(text.to_owned())
}
