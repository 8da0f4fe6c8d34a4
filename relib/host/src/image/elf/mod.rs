//! Verification of ELF shared objects, as strict as glibc's dynamic loader is trusting.
//!
//! A shared object describes itself twice: to the dynamic loader by program headers and the dynamic section
//! (ELF gABI, "Program Loading and Dynamic Linking"), and to tools by section headers (gABI, "Sections"). glibc reads
//! the first description only and believes it (`elf/dl-load.c`, `elf/get-dynamic-info.h`, `elf/dl-reloc.c`). Here both
//! are read and must agree to the byte, so that a fault in either one is found. The contents that the loader
//! interprets (symbols, hash tables, versions, relocations) are then checked entry by entry.

mod dynamic;
mod hash;
mod header;
mod kinds;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod machine;
mod notes;
mod ranges;
mod reader;
mod relocations;
mod sections;
mod segments;
mod symbols;
mod text;
mod unwinding;
mod versions;

use std::fs::File;
use std::io;
use std::ops::Range;

use object::read::ReadRef;
use relib_abi::metadata::{IMPORT_SECTION, SECTION};

use super::contents::ImageFile;
use super::error::{Result, check, check_std};
use super::source::Source;

use dynamic::Dynamic;
use header::Header;
use reader::FileReader;
use relocations::Relocations;
use sections::Sections;
use segments::Segments;
use symbols::Symbols;

/// Reads and verifies a file; see [`inspect_file`](super::inspect_file). Only the tables that the dynamic loader uses are
/// read, never code, data or debug information.
pub(super) fn inspect_file(file: &File, export_prefix: &str) -> io::Result<Result<ImageFile>> {
    let len = file.metadata()?.len();
    Ok(inspect(&Source::new(&FileReader::new(file, len), len), export_prefix))
}

/// Verifies an ELF shared object.
pub(crate) fn inspect<'data, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    export_prefix: &str,
) -> Result<ImageFile> {
    let header = Header::read(source)?;
    let sections = Sections::read(source, &header)?;
    let segments = Segments::read(source, &header, &sections)?;
    header.check_entry(|address| sections.code().contains(address, 1))?;
    notes::check(source, &sections)?;

    let dynamic = Dynamic::read(source, &sections)?;
    let symbols = Symbols::read(source, &sections)?;
    let dependencies = dynamic.check(&sections, &symbols)?;
    hash::check(source, &sections, &symbols)?;
    versions::check(source, &sections, &symbols, &dependencies)?;
    let relocations = Relocations::check(source, &sections, &dynamic, &symbols)?;
    let metadata = metadata(source, &sections)?;
    unwinding::check(source, &sections, metadata.is_some())?;
    if metadata.is_some() {
        check_std(dependencies.iter().map(String::as_str))?;
    }

    Ok(ImageFile {
        span: segments.span(),
        code: sections.code().hull(),
        relro: segments.relro(),
        tls: sections.tls_template(),
        import_slots: relocations.import_slots,
        libraries: Vec::new(),
        exports: symbols.exports(export_prefix)?,
        metadata,
        import_tables: import_tables(&sections)?,
        flags_1: dynamic.patch_site(object::elf::DT_FLAGS_1),
        constructors: dynamic.constructors(),
        destructors_size: dynamic.patch_site(object::elf::DT_FINI_ARRAYSZ),
        unique_symbols: symbols.unique()?,
    })
}

/// The sections with relib's import tables, which the dynamic loader relocates.
fn import_tables(sections: &Sections<'_>) -> Result<Vec<Range<u64>>> {
    sections
        .named(IMPORT_SECTION.as_bytes())
        .map(|section| {
            check!(
                section.has(object::elf::SHF_ALLOC) && !section.is_nobits() && section.addr % 8 == 0,
                "a section of import tables",
                "it is not part of the image"
            );
            Ok(section.range())
        })
        .collect()
}

/// Reads the sections in which relib's macros leave their description of a module.
fn metadata<'data, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    sections: &Sections<'data>,
) -> Result<Option<Vec<u8>>> {
    let parts: Vec<&[u8]> =
        sections.named(SECTION.as_bytes()).map(|section| section.bytes(source)).collect::<Result<_>>()?;
    Ok((!parts.is_empty()).then(|| parts.concat()))
}
