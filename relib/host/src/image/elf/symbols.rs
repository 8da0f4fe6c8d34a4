//! The dynamic symbol table and its strings (gABI, "Symbol Table" and "String Table").

use std::cell::Cell;

use object::LittleEndian as LE;
use object::elf::{self, Sym64};
use object::read::ReadRef;

use super::sections::{Section, Sections};
use super::text::until_zero;
use crate::image::contents::{Export, UniqueSymbol};
use crate::image::error::{Result, check, malformed};
use crate::image::source::Source;

const PART: &str = "the dynamic symbol table";
const STRINGS: &str = "the dynamic string table";

/// How many times the length of the file the strings that it refers to may have together.
const MAX_OVERLAP: u64 = 16;

/// The dynamic symbols, each of which has been checked.
pub(super) struct Symbols<'data> {
    table: &'data [Sym64<LE>],
    strings: &'data [u8],
    section: Section<'data>,
    strings_section: Section<'data>,
    /// How many bytes of strings may still be read. Strings may overlap, so that a small file could otherwise hold
    /// any amount of them.
    budget: Cell<u64>,
}

impl<'data> Symbols<'data> {
    /// Reads and checks the symbols and their strings.
    pub(super) fn read<R: ReadRef<'data>>(
        source: &Source<'data, R>,
        sections: &Sections<'data>,
    ) -> Result<Self> {
        let section = *sections
            .only(elf::SHT_DYNSYM)?
            .ok_or_else(|| malformed(PART, "it is missing although a library needs one"))?;
        let strings_section = *sections
            .get(section.link)
            .filter(|strings| strings.kind == elf::SHT_STRTAB && strings.has(elf::SHF_ALLOC))
            .ok_or_else(|| malformed(PART, "it has no string table"))?;
        let strings = strings_section.bytes(source)?;
        let terminated = strings.first() == Some(&0) && strings.last() == Some(&0);
        check!(terminated, STRINGS, "it does not begin and end with a zero byte");
        let table = section.table::<Sym64<LE>, R>(source)?;
        check!(u32::try_from(table.len()).is_ok(), PART, "it has too many symbols");
        let budget = Cell::new(source.len().saturating_mul(MAX_OVERLAP));
        let symbols = Self { table, strings, section, strings_section, budget };
        symbols.check(sections)?;
        Ok(symbols)
    }

    /// The section that holds the symbols.
    pub(super) fn section(&self) -> &Section<'data> {
        &self.section
    }

    /// The section that holds the strings.
    pub(super) fn strings_section(&self) -> &Section<'data> {
        &self.strings_section
    }

    /// Number of symbols, the null symbol included.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The symbol at `index`.
    pub(super) fn get(&self, index: u32) -> Option<&'data Sym64<LE>> {
        self.table.get(usize::try_from(index).ok()?)
    }

    /// The string that starts at `offset`, without its terminating zero.
    pub(super) fn string(&self, offset: u64) -> Result<&'data [u8]> {
        let rest = usize::try_from(offset).ok().and_then(|start| self.strings.get(start..));
        let string = rest.and_then(until_zero);
        let string = string.ok_or_else(|| {
            malformed(STRINGS, format!("an entry refers to offset {offset:#x}, outside of it"))
        })?;
        let left = self.budget.get().checked_sub(string.len() as u64);
        self.budget.set(left.ok_or_else(|| malformed(STRINGS, "its strings overlap too much"))?);
        Ok(string)
    }

    /// The string that starts at `offset`, as text.
    pub(super) fn text(&self, offset: u64) -> Result<Box<str>> {
        Ok(String::from_utf8_lossy(self.string(offset)?).into())
    }

    /// Exported symbols whose names start with `prefix`.
    pub(super) fn exports(&self, prefix: &str) -> Result<Vec<Export>> {
        let mut exports = Vec::new();
        for symbol in self.table.iter().filter(|symbol| is_exported(symbol)) {
            let name = symbol.st_name.get(LE).into();
            if self.string(name)?.starts_with(prefix.as_bytes()) {
                let (vaddr, size) = (symbol.st_value.get(LE), symbol.st_size.get(LE));
                exports.push(Export { name: self.text(name)?, vaddr, size });
            }
        }
        Ok(exports)
    }

    /// Symbols that glibc keeps unique in the process.
    pub(super) fn unique(&self) -> Result<Vec<UniqueSymbol>> {
        const ENTRY: u64 = size_of::<Sym64<LE>>() as u64;
        /// Offset of `st_info` in `Elf64_Sym`.
        const ST_INFO: u64 = 4;
        let offsets = (self.section.offset + ST_INFO..).step_by(ENTRY as usize);
        let unique =
            |(symbol, _): &(&Sym64<LE>, u64)| symbol.st_bind() == elf::STB_GNU_UNIQUE && is_defined(symbol);
        let entry = |(symbol, st_info_offset): (&Sym64<LE>, u64)| {
            Ok(UniqueSymbol { name: self.text(symbol.st_name.get(LE).into())?, st_info_offset })
        };
        self.table.iter().zip(offsets).filter(unique).map(entry).collect()
    }

    fn check(&self, sections: &Sections<'_>) -> Result<()> {
        let Some(null) = self.table.first() else {
            return Err(malformed(PART, "it is empty"));
        };
        let is_null = null.st_name.get(LE) == 0 && null.st_info.0 == 0 && null.st_value.get(LE) == 0;
        check!(is_null && !is_defined(null), PART, "its first symbol is not the null symbol");
        let limit = sections.image().last().map_or(0, Section::end);
        for (index, symbol) in self.table.iter().enumerate() {
            self.check_symbol(index, symbol, sections, limit)?;
        }
        Ok(())
    }

    /// Checks one symbol; `limit` is the end of the image.
    fn check_symbol(
        &self,
        index: usize,
        symbol: &Sym64<LE>,
        sections: &Sections<'_>,
        limit: u64,
    ) -> Result<()> {
        let name = usize::try_from(symbol.st_name.get(LE)).unwrap_or(usize::MAX);
        check!(name < self.strings.len(), PART, "symbol {index} has its name outside the string table");
        let (bind, kind) = (symbol.st_bind(), symbol.st_type());
        let binds = [elf::STB_LOCAL, elf::STB_GLOBAL, elf::STB_WEAK, elf::STB_GNU_UNIQUE];
        check!(binds.contains(&bind), PART, "symbol {index} has the unknown binding {}", bind.0);
        if !is_defined(symbol) {
            // glibc takes an import that is not visible to others for a definition in this file, at address zero.
            let visible = symbol.st_visibility() == elf::STV_DEFAULT && bind != elf::STB_LOCAL;
            let imported = index == 0 || (visible && symbol.st_value.get(LE) == 0);
            check!(imported, PART, "symbol {index} is imported, but not visible or at an address");
            return Ok(());
        }
        let (value, size) = (symbol.st_value.get(LE), symbol.st_size.get(LE));
        let shndx = symbol.st_shndx.get(LE);
        if shndx == elf::SHN_ABS {
            return Ok(());
        }
        check!(sections.get(shndx.0.into()).is_some(), PART, "symbol {index} is in section {}", shndx.0);
        match kind {
            elf::STT_TLS => {
                let block = sections.tls_template().map_or(0, |tls| tls.memsz);
                let inside = value.checked_add(size).is_some_and(|end| end <= block);
                check!(inside, PART, "symbol {index} is outside the thread-local storage");
            }
            elf::STT_GNU_IFUNC => {
                check!(
                    sections.code().contains(value, 1),
                    PART,
                    "symbol {index} has a resolver that is not code"
                );
            }
            elf::STT_NOTYPE | elf::STT_OBJECT | elf::STT_FUNC | elf::STT_SECTION | elf::STT_FILE => {
                let inside = value.checked_add(size).is_some_and(|end| end <= limit);
                check!(inside, PART, "symbol {index} is outside the image");
            }
            other => {
                return Err(malformed(PART, format!("symbol {index} has the unknown type {}", other.0)));
            }
        }
        Ok(())
    }
}

/// Whether the symbol is defined in this file.
pub(super) fn is_defined(symbol: &Sym64<LE>) -> bool {
    symbol.st_shndx.get(LE) != elf::SHN_UNDEF
}

/// Whether the symbol is an address in this image that others can look up.
fn is_exported(symbol: &Sym64<LE>) -> bool {
    is_defined(symbol)
        && symbol.st_bind() != elf::STB_LOCAL
        && symbol.st_shndx.get(LE) != elf::SHN_ABS
        && [elf::STT_NOTYPE, elf::STT_OBJECT, elf::STT_FUNC].contains(&symbol.st_type())
}
