//! Relocations (gABI, "Relocation", with the x86-64 supplement; `elf_dynamic_do_Rela` and `elf_machine_rela` of
//! glibc's `elf/do-rel.h` and `sysdeps/x86_64/dl-machine.h`).
//!
//! Relocations write to the image, so each must stay inside writable sections. They also make up the arrays of
//! constructors and destructors, which are called without further checks.

use std::ops::Range;

use object::elf::{self, Rela64, Sym64};
use object::read::ReadRef;
use object::{LittleEndian as LE, U64};

use super::dynamic::Dynamic;
use super::kinds::Kind;
use super::machine;
use super::ranges::Run;
use super::sections::{Section, Sections};
use super::symbols::{Symbols, is_defined};
use crate::image::contents::ImportSlots;
use crate::image::error::{ImageError, Result, check, malformed};
use crate::image::source::Source;

const PART: &str = "the relocations";

/// Size of the word that a relocation writes.
const WORD: u64 = 8;

/// What the relocations of a verified file are good for.
pub(super) struct Relocations {
    /// Slots that hold addresses of imported symbols.
    pub(super) import_slots: ImportSlots,
}

impl Relocations {
    /// Reads and checks all relocations.
    pub(super) fn check<'data, R: ReadRef<'data>>(
        source: &Source<'data, R>,
        sections: &Sections<'data>,
        dynamic: &Dynamic,
        symbols: &Symbols<'data>,
    ) -> Result<Self> {
        let mut checker = Checker {
            sections,
            symbols,
            image_end: sections.image().last().map_or(0, Section::end),
            arrays: CallArrays::new(sections)?,
            written: Written::new(sections),
            unaligned: Vec::new(),
            import_slots: ImportSlots::with_capacity(symbols.len(), symbols.strings_section().size),
        };
        let (rela_address, plt_address) = (dynamic.get(elf::DT_RELA), dynamic.get(elf::DT_JMPREL));
        for section in sections.of_kind(elf::SHT_RELA) {
            let table: &[Rela64<LE>] = section.table(source)?;
            if plt_address == Some(section.addr) {
                table.iter().try_for_each(|entry| checker.check_plt_entry(entry))?;
                continue;
            }
            let mut leading = None;
            let mut rest = table;
            loop {
                rest = &rest[checker.accept_relatives(rest)..];
                let Some((entry, others)) = rest.split_first() else { break };
                if leading.is_none() && type_of(entry) != machine::RELATIVE {
                    leading = Some(table.len() - rest.len());
                }
                checker.check_entry(entry)?;
                rest = others;
            }
            if rela_address == Some(section.addr) {
                check_relative_count(leading.unwrap_or(table.len()), dynamic)?;
            }
        }
        if let Some(section) = sections.only(elf::SHT_RELR)? {
            checker.check_relr(section.table(source)?, source)?;
        }
        checker.arrays.check_complete()?;
        checker.check_unaligned()?;
        checker.check_plt_slots()?;
        Ok(Self { import_slots: checker.import_slots })
    }
}

/// Checks DT_RELACOUNT, the number of leading relative relocations: glibc applies them without looking at the type.
fn check_relative_count(leading: usize, dynamic: &Dynamic) -> Result<()> {
    let Some(count) = dynamic.get(elf::DT_RELACOUNT) else {
        return Ok(());
    };
    check!(
        leading as u64 == count,
        PART,
        "DT_RELACOUNT is {count}, but {leading} relative relocations come first"
    );
    Ok(())
}

fn type_of(entry: &Rela64<LE>) -> elf::RelocationType {
    entry.r_type(LE, false)
}

/// Words whose relative relocations need no closer look.
struct Window {
    /// Address of the first one.
    start: u64,
    /// Their numbers; see [`Ranges::word_index`](super::ranges::Ranges::word_index).
    words: Range<usize>,
}

struct Checker<'a, 'data> {
    sections: &'a Sections<'data>,
    symbols: &'a Symbols<'data>,
    image_end: u64,
    arrays: CallArrays<'data>,
    written: Written,
    /// Addresses of what is relocated and not aligned, as packed structs have it.
    unaligned: Vec<u64>,
    import_slots: ImportSlots,
}

impl<'data> Checker<'_, 'data> {
    fn check_entry(&mut self, entry: &Rela64<LE>) -> Result<()> {
        let r_type = type_of(entry);
        let Some(kind) = machine::relocation_kind(r_type) else {
            return Err(ImageError::Unsupported {
                what: format!("relocation type {} at {:#x}", r_type.0, entry.r_offset.get(LE)),
                advice: "compile everything with -fPIC and link it as a shared library",
            });
        };
        let (index, symbol) = self.symbol(entry)?;
        if kind == Kind::None {
            // Linkers leave an empty entry in the place of one that they have dropped. One with a target is another one that
            // lost its type, so that the target would not be relocated.
            let empty = entry.r_offset.get(LE) == 0 && index == 0 && entry.r_addend.get(LE) == 0;
            check!(empty, PART, "one does nothing to {:#x}", entry.r_offset.get(LE));
            return Ok(());
        }
        self.check_target(kind, entry.r_offset.get(LE))?;
        self.check_symbol(kind, index, symbol)?;
        self.check_called(kind, entry, symbol)?;
        self.collect_import(kind, entry, symbol)
    }

    /// Checks an entry of DT_JMPREL, which is about functions that are called through the procedure linkage table alone.
    fn check_plt_entry(&mut self, entry: &Rela64<LE>) -> Result<()> {
        let kind = machine::relocation_kind(type_of(entry));
        let expected = matches!(kind, Some(Kind::JumpSlot | Kind::IRelative | Kind::TlsDescriptor) | None);
        check!(expected, PART, "one of DT_JMPREL is not for the procedure linkage table");
        self.check_entry(entry)
    }

    /// How many entries at the beginning of a table are as nearly all are, and right: relative relocations without a
    /// symbol, of aligned words that no other one writes and that are not called, all of one section. What is wrong with
    /// the next one, if anything, says [`check_entry`](Self::check_entry).
    fn accept_relatives(&mut self, table: &[Rela64<LE>]) -> usize {
        const INFO: u64 = machine::RELATIVE.0 as u64;
        let first = table.first().filter(|entry| entry.r_info.get(LE) == INFO);
        let window = first.and_then(|entry| self.window_around(entry.r_offset.get(LE)));
        let Some(Window { start, words }) = window else { return 0 };
        let (image_end, Some(written)) = (self.image_end, self.written.words(words)) else { return 0 };
        let accepts = |entry: &&Rela64<LE>| {
            let (target, addend) = (entry.r_offset.get(LE), entry.r_addend.get(LE).cast_unsigned());
            // The number of the word; of an address between two words it is larger than any.
            let word = target.wrapping_sub(start).rotate_right(WORD.trailing_zeros());
            let slot = usize::try_from(word).ok().and_then(|word| written.get_mut(word));
            entry.r_info.get(LE) == INFO && addend <= image_end && slot.is_some_and(set)
        };
        table.iter().take_while(accepts).count()
    }

    /// The words around `target` that relocations may write and that are not called.
    fn window_around(&self, target: u64) -> Option<Window> {
        let Run { range, words_before } = self.sections.data().run_of(target)?;
        let hull = &self.arrays.hull;
        let (start, end) = if target < hull.start {
            (range.start, range.end.min(hull.start))
        } else {
            (range.start.max(hull.end), range.end)
        };
        let skipped = start - range.start;
        if !start.is_multiple_of(WORD) || !skipped.is_multiple_of(WORD) {
            return None;
        }
        let first = words_before + skipped / WORD;
        // Only words that fit whole.
        let end = first + end.checked_sub(start)? / WORD;
        Some(Window { start, words: usize::try_from(first).ok()?..usize::try_from(end).ok()? })
    }

    /// The symbol that an entry refers to, which it may have no use for.
    fn symbol(&self, entry: &Rela64<LE>) -> Result<(u32, &'data Sym64<LE>)> {
        let index = entry.r_sym(LE, false);
        let symbol = self.symbols.get(index);
        let symbol = symbol
            .ok_or_else(|| malformed(PART, format!("one refers to symbol {index}, which does not exist")))?;
        Ok((index, symbol))
    }

    /// Checks that the bytes written are inside a writable section and written once: a slot that another relocation
    /// takes over leaves its own unrelocated.
    fn check_target(&mut self, kind: Kind, target: u64) -> Result<()> {
        let size = if kind == Kind::TlsDescriptor { 2 * WORD } else { WORD };
        let Some(word) = self.sections.data().word_index(target, size) else {
            let detail = format!("one writes to {target:#x}, which is not in a writable section");
            return Err(malformed(PART, detail));
        };
        if target.is_multiple_of(WORD) {
            let both = size == WORD || self.written.insert(word + 1);
            check!(self.written.insert(word) && both, PART, "two write to {target:#x}");
        } else {
            let packed = matches!(kind, Kind::Relative | Kind::Symbolic) && !self.is_in_offset_table(target);
            check!(packed, PART, "one writes to {target:#x}, which is not aligned");
            self.unaligned.push(target);
        }
        Ok(())
    }

    /// Whether an address is in the global offset table, which linkers make of whole words.
    fn is_in_offset_table(&self, address: u64) -> bool {
        let is_table = |section: &&Section<'_>| matches!(section.name, b".got" | b".got.plt");
        self.sections.image().iter().filter(is_table).any(|section| section.range().contains(&address))
    }

    /// Checks that what is relocated and not aligned overlaps nothing else that is.
    fn check_unaligned(&mut self) -> Result<()> {
        self.unaligned.sort_unstable();
        let near = self.unaligned.windows(2).find(|pair| pair[1] - pair[0] < WORD);
        check!(near.is_none(), PART, "two write to {:#x}", near.map_or(0, |pair| pair[1]));
        for &target in &self.unaligned {
            let first = target / WORD * WORD;
            let overlapping = [first, first + WORD].into_iter().any(|word| self.is_written(word));
            check!(!overlapping, PART, "two write to {target:#x}");
        }
        Ok(())
    }

    /// Whether a relocation writes an aligned word.
    fn is_written(&self, address: u64) -> bool {
        self.sections.data().word_index(address, WORD).is_some_and(|word| self.written.contains(word))
    }

    /// Checks that each slot of the procedure linkage table is relocated: the first three words are the loader's, and a call
    /// through one of the others that is not goes anywhere.
    fn check_plt_slots(&self) -> Result<()> {
        const OF_LOADER: u64 = 3;
        let Some(section) = self.sections.only_named(b".got.plt")? else { return Ok(()) };
        let mut slots = (OF_LOADER..section.size / WORD).map(|slot| section.addr + slot * WORD);
        let left = slots.find(|slot| !self.is_written(*slot));
        check!(
            left.is_none(),
            PART,
            "the slot {:#x} of {section} is not relocated",
            left.unwrap_or_default()
        );
        Ok(())
    }

    /// Checks that the symbol is of the kind that the relocation is for.
    fn check_symbol(&self, kind: Kind, index: u32, symbol: &Sym64<LE>) -> Result<()> {
        let is_tls = symbol.st_type() == elf::STT_TLS;
        match kind {
            Kind::TlsModule | Kind::TlsOffset | Kind::TlsDescriptor => {
                let own = index == 0 || is_defined(symbol);
                check!(
                    index == 0 || is_tls,
                    PART,
                    "symbol {index} is used as a thread-local, which it is not"
                );
                let present = !own || self.sections.tls_template().is_some();
                check!(present, PART, "one is for thread-local storage, of which there is none");
            }
            Kind::GlobDat | Kind::JumpSlot => {
                check!(index != 0, PART, "an import has no symbol");
                check!(!is_tls, PART, "symbol {index} is a thread-local, but used as an address");
            }
            Kind::Symbolic => {
                check!(!is_tls, PART, "symbol {index} is a thread-local, but used as an address")
            }
            Kind::Relative | Kind::IRelative => {
                check!(index == 0, PART, "symbol {index} is used where none is asked for");
            }
            Kind::None => {}
        }
        Ok(())
    }

    /// Checks what will be called while the file is loaded or unloaded.
    fn check_called(&mut self, kind: Kind, entry: &Rela64<LE>, symbol: &Sym64<LE>) -> Result<()> {
        let (target, addend) = (entry.r_offset.get(LE), entry.r_addend.get(LE).cast_unsigned());
        match kind {
            Kind::Relative => {
                let inside = addend <= self.image_end;
                check!(inside, PART, "one makes a pointer to {addend:#x}, outside the image");
            }
            Kind::IRelative => {
                check!(self.is_code(addend), PART, "one has a resolver at {addend:#x}, which is not code");
            }
            _ => {}
        }
        if !self.arrays.concern(target) {
            return Ok(());
        }
        let callable = match kind {
            Kind::Relative => self.is_code(addend),
            Kind::Symbolic if is_defined(symbol) => {
                self.is_code(symbol.st_value.get(LE).wrapping_add(addend))
            }
            // glibc resolves a weak symbol that no library defines to zero, and would call that.
            Kind::Symbolic => addend == 0 && symbol.st_bind() == elf::STB_GLOBAL,
            _ => false,
        };
        self.arrays.record(target, callable)
    }

    fn is_code(&self, address: u64) -> bool {
        self.sections.code().contains(address, 1)
    }

    /// Notes the slot if it is filled with the address of an imported symbol.
    fn collect_import(&mut self, kind: Kind, entry: &Rela64<LE>, symbol: &Sym64<LE>) -> Result<()> {
        let vaddr = entry.r_offset.get(LE);
        let whole = kind == Kind::Symbolic && entry.r_addend.get(LE) == 0 && vaddr.is_multiple_of(WORD);
        let is_slot = whole || matches!(kind, Kind::GlobDat | Kind::JumpSlot);
        if is_slot && !is_defined(symbol) {
            let name = self.symbols.string(symbol.st_name.get(LE).into())?;
            self.import_slots.push(name, vaddr);
        }
        Ok(())
    }

    /// Checks DT_RELR (gABI, "Relative Relocation Table"): an even word is the address of a word to relocate, an odd
    /// one a bitmap of the 63 words that follow.
    fn check_relr<R: ReadRef<'data>>(&mut self, table: &[U64<LE>], source: &Source<'data, R>) -> Result<()> {
        let mut next = None;
        for entry in table.iter().map(|entry| entry.get(LE)) {
            if entry & 1 == 0 {
                self.check_relative_word(entry, source)?;
                next = entry.checked_add(WORD);
                continue;
            }
            let base: u64 = next.ok_or_else(|| malformed(PART, "DT_RELR starts with a bitmap"))?;
            for bit in (1..u64::from(u64::BITS)).filter(|bit| entry >> bit & 1 == 1) {
                self.check_relative_word(base.saturating_add((bit - 1) * WORD), source)?;
            }
            next = base.checked_add(63 * WORD);
        }
        Ok(())
    }

    /// Checks the relocation of one word in place.
    fn check_relative_word<R: ReadRef<'data>>(
        &mut self,
        target: u64,
        source: &Source<'data, R>,
    ) -> Result<()> {
        self.check_target(Kind::Relative, target)?;
        if !self.arrays.concern(target) {
            return Ok(());
        }
        let callable = match self.arrays.initial_value(target, source)? {
            Some(address) => self.is_code(address),
            None => false,
        };
        self.arrays.record(target, callable)
    }
}

/// For each word that relocations may write, whether one does. Not packed into bits: that would save some KiB, and take more
/// instructions for each of a thousand relocations.
struct Written(Vec<bool>);

impl Written {
    fn new(sections: &Sections<'_>) -> Self {
        // The set consists of sections that lie inside the file, so that this is an eighth of its size at most.
        let words = usize::try_from(sections.data().word_count()).unwrap_or(usize::MAX);
        Self(vec![false; words])
    }

    /// Adds a word by its number. Returns whether it is new.
    fn insert(&mut self, word: u64) -> bool {
        usize::try_from(word).ok().and_then(|word| self.0.get_mut(word)).is_some_and(set)
    }

    fn contains(&self, word: u64) -> bool {
        usize::try_from(word).ok().and_then(|word| self.0.get(word)).is_some_and(|written| *written)
    }

    /// The words with these numbers.
    fn words(&mut self, numbers: Range<usize>) -> Option<&mut [bool]> {
        self.0.get_mut(numbers)
    }
}

/// Sets a flag. Returns whether it was not set before.
#[inline]
fn set(flag: &mut bool) -> bool {
    !std::mem::replace(flag, true)
}

/// The arrays of functions that glibc calls when it loads and unloads a library: each element must be written by
/// exactly one relocation, which makes it the address of a function.
struct CallArrays<'data> {
    arrays: Vec<CallArray<'data>>,
    /// From the first array to the end of the last.
    hull: Range<u64>,
}

struct CallArray<'data> {
    section: Section<'data>,
    written: Vec<bool>,
}

impl<'data> CallArrays<'data> {
    fn new(sections: &Sections<'data>) -> Result<Self> {
        let found = [sections.only(elf::SHT_INIT_ARRAY)?, sections.only(elf::SHT_FINI_ARRAY)?];
        let arrays = found.into_iter().flatten().map(CallArray::new).collect::<Result<Vec<_>>>()?;
        let sections = || arrays.iter().map(|array| &array.section);
        let start = sections().map(|section| section.addr).min().unwrap_or(0);
        let end = sections().map(Section::end).max().unwrap_or(0);
        Ok(Self { arrays, hull: start..end })
    }

    /// Whether a relocation of `target` may write to an array; most do not.
    #[inline]
    fn concern(&self, target: u64) -> bool {
        target < self.hull.end && target.saturating_add(WORD) > self.hull.start
    }

    /// Records a relocation of `target`, which makes it something that can be called or not.
    fn record(&mut self, target: u64, callable: bool) -> Result<()> {
        for CallArray { section, written } in &mut self.arrays {
            if target >= section.end() || target.saturating_add(WORD) <= section.addr {
                continue;
            }
            let distance = target.checked_sub(section.addr).filter(|distance| distance.is_multiple_of(WORD));
            let slot = distance.and_then(|distance| written.get_mut(usize::try_from(distance / WORD).ok()?));
            let slot = slot.ok_or_else(|| malformed(PART, format!("one overlaps elements of {section}")))?;
            check!(callable, PART, "an element of {section} is not a function");
            check!(!*slot, PART, "an element of {section} is written twice");
            *slot = true;
        }
        Ok(())
    }

    /// What the file holds at `target`, if that is an element of an array.
    fn initial_value<R: ReadRef<'data>>(
        &self,
        target: u64,
        source: &Source<'data, R>,
    ) -> Result<Option<u64>> {
        let Some(array) = self.arrays.iter().find(|array| array.section.range().contains(&target)) else {
            return Ok(None);
        };
        let words: &[U64<LE>] = array.section.table(source)?;
        let index = usize::try_from((target - array.section.addr) / WORD).unwrap_or(usize::MAX);
        Ok(words.get(index).map(|word| word.get(LE)))
    }

    fn check_complete(&self) -> Result<()> {
        for CallArray { section, written } in &self.arrays {
            check!(written.iter().all(|&slot| slot), PART, "an element of {section} is never relocated");
        }
        Ok(())
    }
}

impl<'data> CallArray<'data> {
    fn new(section: &Section<'data>) -> Result<Self> {
        let whole =
            section.size.is_multiple_of(WORD) && section.addr.is_multiple_of(WORD) && !section.is_nobits();
        check!(whole, PART, "{section} is not an array of functions");
        let count = usize::try_from(section.size / WORD).unwrap_or(usize::MAX);
        Ok(Self { section: *section, written: vec![false; count] })
    }
}
