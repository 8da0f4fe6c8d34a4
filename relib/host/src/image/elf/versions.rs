//! Symbol versions (LSB, "Symbol Versioning"; `_dl_check_map_versions` of glibc's `elf/dl-version.c`).
//!
//! glibc walks both tables by the offsets in them, asserts that each file they name is loaded, and uses the versions
//! of symbols as array indices.

use object::LittleEndian as LE;
use object::elf::{self, Verdaux, Verdef, Vernaux, Verneed, Versym};
use object::pod::{self, Pod};
use object::read::ReadRef;

use super::sections::{Section, Sections};
use super::symbols::Symbols;
use crate::image::error::{Result, check, malformed};
use crate::image::source::Source;

const NEEDED: &str = "the table of needed versions";
const DEFINED: &str = "the table of defined versions";
const SYMBOLS: &str = "the versions of symbols";

/// Checks the version tables; `needed` are the names of the libraries that the file needs.
pub(super) fn check<'data, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    sections: &Sections<'data>,
    symbols: &Symbols<'_>,
    needed: &[String],
) -> Result<()> {
    let mut indices = Indices::default();
    if let Some(section) = sections.only(elf::SHT_GNU_VERNEED)? {
        Table::read(source, section, NEEDED)?.check_needed(symbols, needed, &mut indices)?;
    }
    if let Some(section) = sections.only(elf::SHT_GNU_VERDEF)? {
        Table::read(source, section, DEFINED)?.check_defined(symbols, &mut indices)?;
    }
    match sections.only(elf::SHT_GNU_VERSYM)? {
        Some(section) => check_symbols(section.table(source)?, symbols, &indices),
        None => {
            check!(indices.0.is_empty(), SYMBOLS, "they are missing although there are versions");
            Ok(())
        }
    }
}

/// Version indices that the tables define.
#[derive(Default)]
struct Indices(Vec<bool>);

impl Indices {
    /// Records an index, of which 0 and 1 have a meaning of their own.
    fn insert(&mut self, part: &'static str, index: u16) -> Result<()> {
        let slot = usize::from(index & elf::VERSYM_VERSION);
        if self.0.len() <= slot {
            self.0.resize(slot + 1, false);
        }
        check!(slot > 0 && !self.0[slot], part, "the version index {slot} is reserved or occurs twice");
        self.0[slot] = true;
        Ok(())
    }

    fn contains(&self, index: u16) -> bool {
        let slot = usize::from(index & elf::VERSYM_VERSION);
        slot <= 1 || self.0.get(slot).copied().unwrap_or(false)
    }
}

fn check_symbols(table: &[Versym<LE>], symbols: &Symbols<'_>, indices: &Indices) -> Result<()> {
    let (found, expected) = (table.len(), symbols.len());
    check!(found == expected, SYMBOLS, "there are {found} for {expected} symbols");
    let known = table.iter().all(|version| indices.contains(version.0.get(LE).0));
    check!(known, SYMBOLS, "a symbol has an unknown version");
    Ok(())
}

/// A section of records that are linked by offsets.
struct Table<'data> {
    part: &'static str,
    bytes: &'data [u8],
    /// Number of records, which DT_VERNEEDNUM or DT_VERDEFNUM repeats.
    count: u32,
}

impl<'data> Table<'data> {
    fn read<R: ReadRef<'data>>(
        source: &Source<'data, R>,
        section: &Section<'data>,
        part: &'static str,
    ) -> Result<Self> {
        Ok(Self { part, bytes: section.bytes(source)?, count: section.info })
    }

    /// Checks `Elf64_Verneed` records: a file, and a chain of the versions needed from it.
    fn check_needed(&self, symbols: &Symbols<'_>, needed: &[String], indices: &mut Indices) -> Result<()> {
        let mut walk = Walk { table: self, offset: 0, left: self.count };
        while let Some(offset) = walk.next_offset()? {
            let record = self.record::<Verneed<LE>>(offset)?;
            let version = record.vn_version.get(LE);
            check!(version == elf::VER_NEED_CURRENT, self.part, "a record has version {version}");
            let file = symbols.string(record.vn_file.get(LE).into())?;
            let listed = needed.iter().any(|name| name.as_bytes() == file);
            check!(
                listed,
                self.part,
                "it names {}, which is not in DT_NEEDED",
                String::from_utf8_lossy(file)
            );
            let count = u32::from(record.vn_cnt.get(LE));
            check!(count > 0, self.part, "a record needs no version");
            let mut versions =
                Walk { table: self, offset: self.at(offset, record.vn_aux.get(LE))?, left: count };
            while let Some(offset) = versions.next_offset()? {
                let version = self.record::<Vernaux<LE>>(offset)?;
                self.check_hash(symbols, version.vna_name.get(LE), version.vna_hash.get(LE))?;
                indices.insert(self.part, version.vna_other.get(LE).0)?;
                versions.advance(offset, version.vna_next.get(LE))?;
            }
            walk.advance(offset, record.vn_next.get(LE))?;
        }
        Ok(())
    }

    /// Checks `Elf64_Verdef` records: a version, and a chain of its own name and those of its predecessors.
    fn check_defined(&self, symbols: &Symbols<'_>, indices: &mut Indices) -> Result<()> {
        let mut walk = Walk { table: self, offset: 0, left: self.count };
        let mut names_left = self.bytes.len() / size_of::<Verdaux<LE>>();
        while let Some(offset) = walk.next_offset()? {
            let record = self.record::<Verdef<LE>>(offset)?;
            let version = record.vd_version.get(LE);
            check!(version == elf::VER_DEF_CURRENT, self.part, "a record has version {version}");
            indices.insert(self.part, record.vd_ndx.get(LE).0)?;
            let count = record.vd_cnt.get(LE);
            check!(count > 0, self.part, "a version has no name");
            let mut names =
                Walk { table: self, offset: self.at(offset, record.vd_aux.get(LE))?, left: count.into() };
            let mut hash = Some(record.vd_hash.get(LE));
            while let Some(offset) = names.next_offset()? {
                names_left =
                    names_left.checked_sub(1).ok_or_else(|| malformed(self.part, "records overlap"))?;
                let name = self.record::<Verdaux<LE>>(offset)?;
                symbols.string(name.vda_name.get(LE).into())?;
                hash.take().map_or(Ok(()), |hash| self.check_hash(symbols, name.vda_name.get(LE), hash))?;
                names.advance(offset, name.vda_next.get(LE))?;
            }
            walk.advance(offset, record.vd_next.get(LE))?;
        }
        Ok(())
    }

    fn check_hash(&self, symbols: &Symbols<'_>, name: u32, hash: u32) -> Result<()> {
        let name = symbols.string(name.into())?;
        check!(elf::hash(name) == hash, self.part, "a version's name and hash disagree");
        Ok(())
    }

    fn record<T: Pod>(&self, offset: usize) -> Result<&'data T> {
        let bytes = self.bytes.get(offset..).ok_or_else(|| self.outside())?;
        pod::from_bytes(bytes).map(|(record, _)| record).map_err(|()| self.outside())
    }

    /// The offset `distance` after `offset`.
    fn at(&self, offset: usize, distance: u32) -> Result<usize> {
        usize::try_from(distance)
            .ok()
            .and_then(|distance| offset.checked_add(distance))
            .ok_or_else(|| self.outside())
    }

    fn outside(&self) -> crate::image::error::ImageError {
        malformed(self.part, "a record lies outside of it")
    }
}

/// A walk over linked records, which must be as many as announced: glibc stops at the end of the chain only.
struct Walk<'a, 'data> {
    table: &'a Table<'data>,
    offset: usize,
    left: u32,
}

impl Walk<'_, '_> {
    /// The offset of the next record, or `None` after the last.
    fn next_offset(&mut self) -> Result<Option<usize>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        Ok(Some(self.offset))
    }

    /// Moves on from the record at `offset` to the one `distance` bytes after it.
    fn advance(&mut self, offset: usize, distance: u32) -> Result<()> {
        let is_last = self.left == 0;
        check!((distance == 0) == is_last, self.table.part, "a chain is not as long as its count says");
        self.offset = self.table.at(offset, distance)?;
        Ok(())
    }
}
