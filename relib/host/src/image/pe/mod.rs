//! Verification of PE dynamic libraries (Microsoft, "PE Format"), for what the Windows loader reads.
//!
//! The loader maps sections by the section table, relocates by one data directory, binds imports by another, and calls
//! the functions that the thread-local directory and the header name. All of that is checked entry by entry. What no
//! structure can tell, such as a changed byte of code, shows in the header's checksum, which GNU linkers write.

mod checksum;
mod directories;
mod header;
mod sections;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use object::read::ReadRef;

use super::contents::ImageFile;
use super::error::{Result, check, check_std};
use super::source::Source;

use directories::Imports;
use header::Header;
use sections::Sections;

/// Reads and verifies a file; see [`inspect_file`](super::inspect_file). The whole file is read, because the checksum is
/// one of the whole.
#[allow(dead_code, reason = "its tests run everywhere, and have bytes")]
pub(super) fn inspect_file(file: &File, export_prefix: &str) -> io::Result<Result<ImageFile>> {
    let mut bytes = Vec::new();
    let mut file = file;
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(inspect(&Source::new(&*bytes, bytes.len() as u64), export_prefix))
}

/// Verifies a PE library. Virtual addresses are relative to the image's.
pub(crate) fn inspect<'data, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    export_prefix: &str,
) -> Result<ImageFile> {
    let header = Header::read(source)?;
    let sections = Sections::read(source, &header)?;
    header.check_entry(|address| sections.is_code(address))?;
    directories::check_unsupported(&header)?;
    directories::check_bounds(&header, &sections)?;
    let exports = directories::exports(source, &header, &sections, export_prefix)?;
    let Imports { slots, libraries } = directories::imports(source, &header, &sections)?;
    directories::check_functions(source, &header, &sections)?;
    directories::check_relocations(source, &header, &sections)?;
    let tls = directories::tls(source, &header, &sections)?;
    let metadata = metadata(source, &sections)?;
    // What is no module will be refused for that; those of Wine's own libraries do not even have the right sum.
    if metadata.is_some() {
        check_std(libraries.iter().map(|name| &**name))?;
        checksum::check(source, &header)?;
    }

    Ok(ImageFile {
        span: 0..u64::from(header.size_of_image),
        code: sections.code(),
        relro: None,
        tls,
        import_slots: slots,
        libraries,
        exports,
        metadata,
        import_tables: import_tables(&sections)?,
        flags_1: None,
        constructors: None,
        destructors_size: None,
        unique_symbols: Vec::new(),
    })
}

/// The section with relib's import tables, which the loader relocates.
fn import_tables(sections: &Sections) -> Result<Vec<Range<u64>>> {
    let Some(section) = sections.only_named(".relibp")? else {
        return Ok(Vec::new());
    };
    check!(section.is_in_file(section.start, section.size), "the section .relibp", "it is not in the file");
    let start = u64::from(section.start);
    Ok(std::iter::once(start..start + u64::from(section.size)).collect())
}

/// Reads the section in which relib's macros leave their description of a module.
fn metadata<'data, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    sections: &Sections,
) -> Result<Option<Vec<u8>>> {
    let Some(section) = sections.only_named(".relib")? else {
        return Ok(None);
    };
    let bytes = sections.bytes(source, "the section .relib", section.start, section.size)?;
    Ok(Some(bytes.to_vec()))
}
