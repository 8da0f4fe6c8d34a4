//! The data directories ("Optional Header Data Directories"): what the loader interprets beside the sections.

use object::pe::{
    self, ImageBaseRelocation, ImageExportDirectory, ImageImportDescriptor, ImageRuntimeFunctionEntry,
    ImageTlsDirectory64,
};
use object::pod::{self, Pod};
use object::read::ReadRef;
use object::{U16, U32, U64};

use super::header::Header;
use super::sections::Sections;
use crate::image::contents::{Export, ImportSlots, TlsTemplate};
use crate::image::error::{ImageError, Result, check, malformed};
use crate::image::source::Source;
use object::LittleEndian as LE;

/// More entries than this in a table have no use, and would only cost time.
const MAX_ENTRIES: u32 = 1 << 20;

/// More thread-local storage than this cannot be given to every thread.
const MAX_TLS: u64 = 64 << 20;

/// Refuses what relib cannot undo or does not check.
pub(super) fn check_unsupported(header: &Header) -> Result<()> {
    let refused = [
        (pe::IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT, "delayed imports"),
        (pe::IMAGE_DIRECTORY_ENTRY_BOUND_IMPORT, "bound imports"),
        (pe::IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR, "code for the .NET runtime"),
    ];
    for (index, what) in refused {
        if header.directory(index).is_some() {
            return Err(ImageError::Unsupported {
                what: what.to_owned(),
                advice: "link the library without them",
            });
        }
    }
    Ok(())
}

/// Checks that the directories that only tools and debuggers read lie in sections.
pub(super) fn check_bounds(header: &Header, sections: &Sections) -> Result<()> {
    let directories = [
        (pe::IMAGE_DIRECTORY_ENTRY_RESOURCE, "the resource directory"),
        (pe::IMAGE_DIRECTORY_ENTRY_DEBUG, "the debug directory"),
        (pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG, "the load configuration"),
        (pe::IMAGE_DIRECTORY_ENTRY_IAT, "the import address table"),
    ];
    for (index, part) in directories {
        if let Some((address, size)) = header.directory(index) {
            sections.at(part, address, size)?;
        }
    }
    for index in [pe::IMAGE_DIRECTORY_ENTRY_ARCHITECTURE, pe::IMAGE_DIRECTORY_ENTRY_GLOBALPTR, 15] {
        check!(header.directory(index).is_none(), "the data directories", "directory {index} is in use");
    }
    Ok(())
}

/// Reads a structure at an address.
fn read<'data, T: Pod, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    sections: &Sections,
    part: &'static str,
    address: u32,
) -> Result<&'data T> {
    let bytes = sections.bytes(source, part, address, size_of::<T>() as u32)?;
    let (value, _) = pod::from_bytes(bytes).map_err(|()| malformed(part, "it cannot be read"))?;
    Ok(value)
}

/// Reads a table at an address.
fn table<'data, T: Pod, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    sections: &Sections,
    part: &'static str,
    address: u32,
    len: u32,
) -> Result<&'data [T]> {
    check!(len <= MAX_ENTRIES, part, "it has {len} entries");
    if len == 0 {
        return Ok(&[]);
    }
    let bytes = sections.bytes(source, part, address, len * size_of::<T>() as u32)?;
    pod::slice_from_all_bytes(bytes).map_err(|()| malformed(part, "it cannot be read"))
}

/// Reads a name that ends with a zero byte.
fn name<'data, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    sections: &Sections,
    part: &'static str,
    address: u32,
) -> Result<&'data str> {
    let bytes = sections.bytes_from(source, part, address)?;
    let end = bytes.iter().position(|byte| *byte == 0);
    let end = end.ok_or_else(|| malformed(part, format!("the name at {address:#x} does not end")))?;
    std::str::from_utf8(&bytes[..end])
        .map_err(|_| malformed(part, format!("the name at {address:#x} is not UTF-8")))
}

/// Checks the export directory and returns the exports whose names start with a prefix.
pub(super) fn exports<'data, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    header: &Header,
    sections: &Sections,
    prefix: &str,
) -> Result<Vec<Export>> {
    const PART: &str = "the export directory";
    let Some((address, size)) = header.directory(pe::IMAGE_DIRECTORY_ENTRY_EXPORT) else {
        return Ok(Vec::new());
    };
    sections.at(PART, address, size)?;
    let directory: &ImageExportDirectory = read(source, sections, PART, address)?;
    let functions = directory.number_of_functions.get(LE);
    let names = directory.number_of_names.get(LE);
    let functions: &[U32<LE>] =
        table(source, sections, PART, directory.address_of_functions.get(LE), functions)?;
    let ordinals: &[U16<LE>] =
        table(source, sections, PART, directory.address_of_name_ordinals.get(LE), names)?;
    let names: &[U32<LE>] = table(source, sections, PART, directory.address_of_names.get(LE), names)?;
    for function in functions {
        let function = function.get(LE);
        check!(function == 0 || function < header.size_of_image, PART, "{function:#x} is not in the image");
    }
    let mut exports = Vec::new();
    for (at, ordinal) in names.iter().zip(ordinals) {
        let name = name(source, sections, PART, at.get(LE))?;
        let function = functions.get(usize::from(ordinal.get(LE)));
        let function = function.ok_or_else(|| malformed(PART, format!("{name} has no function")))?.get(LE);
        if !name.starts_with(prefix) {
            continue;
        }
        // An address inside the directory would be the name of another library's export.
        let forwarded = (address..address.saturating_add(size)).contains(&function);
        check!(!forwarded, PART, "{name} belongs to another library");
        exports.push(Export {
            name: name.into(),
            vaddr: u64::from(function),
            // The format does not say how large a symbol is.
            size: u64::from(sections.len_from(PART, function)?),
        });
    }
    Ok(exports)
}

/// What the loader binds to other libraries.
#[derive(Default)]
pub(super) struct Imports {
    /// The slots of imports by name.
    pub(super) slots: ImportSlots,
    /// The names of the libraries.
    pub(super) libraries: Vec<Box<str>>,
}

/// Checks the import directory and returns what it holds.
pub(super) fn imports<'data, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    header: &Header,
    sections: &Sections,
) -> Result<Imports> {
    const PART: &str = "the import directory";
    const ORDINAL: u64 = 1 << 63;
    let Some((address, size)) = header.directory(pe::IMAGE_DIRECTORY_ENTRY_IMPORT) else {
        return Ok(Imports::default());
    };
    sections.at(PART, address, size)?;
    let descriptors = sections.bytes_from(source, PART, address)?;
    let count = descriptors.len() / size_of::<ImageImportDescriptor>();
    let (descriptors, _) = pod::slice_from_bytes::<ImageImportDescriptor>(descriptors, count)
        .map_err(|()| malformed(PART, "it cannot be read"))?;
    let mut imports = Imports::default();
    let mut count_of_slots = 0;
    for descriptor in descriptors {
        let lookup = descriptor.original_first_thunk.get(LE);
        let library = descriptor.name.get(LE);
        let first = descriptor.first_thunk.get(LE);
        if (library, first) == (0, 0) {
            return Ok(imports);
        }
        check!(descriptor.time_date_stamp.get(LE) == 0, PART, "its imports are bound");
        let library = name(source, sections, PART, library)?;
        check!(!library.is_empty(), PART, "a library has no name");
        imports.libraries.push(library.into());
        check!(first.is_multiple_of(8), PART, "the slots at {first:#x} are not aligned");
        // The loader reads the lookup table, and the address table in its place if there is none.
        let lookup = if lookup == 0 { first } else { lookup };
        let entries = sections.bytes_from(source, PART, lookup)?;
        let (entries, _) = pod::slice_from_bytes::<U64<LE>>(entries, entries.len() / 8)
            .map_err(|()| malformed(PART, "it cannot be read"))?;
        let len = entries.iter().position(|entry| entry.get(LE) == 0);
        let len = len.ok_or_else(|| malformed(PART, "a table does not end"))?;
        count_of_slots += len;
        check!(count_of_slots <= MAX_ENTRIES as usize, PART, "it has too many entries");
        // With the null that ends it.
        let size = (len as u32 + 1) * 8;
        check!(
            sections.at(PART, first, size)?.is_in_file(first, size),
            PART,
            "the slots at {first:#x} are not in the file"
        );
        for (index, entry) in entries[..len].iter().enumerate() {
            let entry = entry.get(LE);
            if entry & ORDINAL != 0 {
                check!(entry & !ORDINAL <= 0xffff, PART, "{entry:#x} is no ordinal");
                continue;
            }
            let hint = u32::try_from(entry).ok().filter(|hint| *hint < header.size_of_image);
            let hint = hint.ok_or_else(|| malformed(PART, format!("{entry:#x} is no name")))?;
            let name = name(source, sections, PART, hint + 2)?;
            imports.slots.push(name.as_bytes(), u64::from(first) + 8 * index as u64);
        }
    }
    Err(malformed(PART, "it does not end"))
}

/// Checks the table by which the system unwinds the stack.
pub(super) fn check_functions<'data, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    header: &Header,
    sections: &Sections,
) -> Result<()> {
    const PART: &str = "the exception directory";
    let Some((address, size)) = header.directory(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION) else {
        return Ok(());
    };
    let entry_size = size_of::<ImageRuntimeFunctionEntry>() as u32;
    check!(size.is_multiple_of(entry_size), PART, "its size is {size:#x}");
    let entries: &[ImageRuntimeFunctionEntry] = table(source, sections, PART, address, size / entry_size)?;
    let mut last = 0;
    for entry in entries {
        let (begin, end) = (entry.begin_address.get(LE), entry.end_address.get(LE));
        let unwind = entry.unwind_info_address_or_data.get(LE);
        let valid = last <= begin && begin < end && sections.is_code(begin) && sections.is_code(end - 1);
        check!(valid, PART, "{begin:#x} to {end:#x} is no function");
        sections.at(PART, unwind & !1, 4)?;
        last = end;
    }
    // The entry point calls other functions, and every function that does so is listed.
    let entry = header.entry;
    let valid =
        entry == 0 || entries.binary_search_by_key(&entry, |entry| entry.begin_address.get(LE)).is_ok();
    check!(valid, PART, "AddressOfEntryPoint {entry:#x} is no function");
    Ok(())
}

/// Checks the places that the loader adds the image's displacement to.
pub(super) fn check_relocations<'data, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    header: &Header,
    sections: &Sections,
) -> Result<()> {
    const PART: &str = "the base relocations";
    const ABSOLUTE: u16 = 0;
    const DIR64: u16 = 10;
    const PAGE: u32 = 0x1000;
    let Some((address, size)) = header.directory(pe::IMAGE_DIRECTORY_ENTRY_BASERELOC) else {
        return Err(ImageError::Unsupported {
            what: "a fixed address".to_owned(),
            advice: "link it with base relocations, as is the default",
        });
    };
    let mut rest = sections.bytes(source, PART, address, size)?;
    while !rest.is_empty() {
        let (block, tail) =
            pod::from_bytes::<ImageBaseRelocation>(rest).map_err(|()| malformed(PART, "a block is cut"))?;
        let (page, size) = (block.virtual_address.get(LE), block.size_of_block.get(LE) as usize);
        let header_size = size_of::<ImageBaseRelocation>();
        let valid = page.is_multiple_of(PAGE)
            && page < header.size_of_image
            && size >= header_size
            && size <= rest.len()
            && size.is_multiple_of(4);
        check!(valid, PART, "the block for {page:#x} of {size:#x} bytes is wrong");
        let count = (size - header_size) / 2;
        let (entries, _) =
            pod::slice_from_bytes::<U16<LE>>(tail, count).map_err(|()| malformed(PART, "a block is cut"))?;
        for entry in entries {
            let entry = entry.get(LE);
            let place = page + u32::from(entry & 0xfff);
            match entry >> 12 {
                ABSOLUTE => {}
                DIR64 => _ = sections.at(PART, place, 8)?,
                kind => return Err(malformed(PART, format!("the one at {place:#x} is of kind {kind}"))),
            }
        }
        rest = &rest[size..];
    }
    Ok(())
}

/// Checks the directory of thread-local storage, whose functions the loader calls.
pub(super) fn tls<'data, R: ReadRef<'data>>(
    source: &Source<'data, R>,
    header: &Header,
    sections: &Sections,
) -> Result<Option<TlsTemplate>> {
    const PART: &str = "the thread-local directory";
    let Some((address, size)) = header.directory(pe::IMAGE_DIRECTORY_ENTRY_TLS) else {
        return Ok(None);
    };
    check!(size as usize >= size_of::<ImageTlsDirectory64>(), PART, "its size is {size:#x}");
    let directory: &ImageTlsDirectory64 = read(source, sections, PART, address)?;
    let relative = |address: u64| {
        header
            .relative(address)
            .ok_or_else(|| malformed(PART, format!("the address {address:#x} is not in the image")))
    };
    let index = relative(directory.address_of_index.get(LE))?;
    check!(sections.is_writable(index, 4), PART, "the index at {index:#x} cannot be written");
    let start = directory.start_address_of_raw_data.get(LE);
    let len = directory.end_address_of_raw_data.get(LE).checked_sub(start);
    let len = len.filter(|len| *len <= MAX_TLS).ok_or_else(|| malformed(PART, "its size is wrong"))?;
    let start = relative(start)?;
    if len > 0 {
        sections.at(PART, start, len as u32)?;
    }
    let zeros = u64::from(directory.size_of_zero_fill.get(LE));
    check!(zeros <= MAX_TLS, PART, "SizeOfZeroFill is {zeros:#x}");

    let callbacks = directory.address_of_call_backs.get(LE);
    if callbacks != 0 {
        let callbacks = relative(callbacks)?;
        let bytes = sections.bytes_from(source, PART, callbacks)?;
        let (entries, _) = pod::slice_from_bytes::<U64<LE>>(bytes, bytes.len() / 8)
            .map_err(|()| malformed(PART, "it cannot be read"))?;
        let len = entries.iter().position(|entry| entry.get(LE) == 0);
        let len = len.ok_or_else(|| malformed(PART, "the list of functions does not end"))?;
        for entry in &entries[..len] {
            let function = relative(entry.get(LE))?;
            check!(sections.is_code(function), PART, "{function:#x} is no function");
        }
    }
    Ok(Some(TlsTemplate { vaddr: u64::from(start), filesz: len, memsz: len + zeros, align: 16 }))
}
