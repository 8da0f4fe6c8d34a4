//! What a file that passed verification holds, whatever its format.

use std::ops::Range;
use std::sync::OnceLock;

/// What a file that passed verification holds, as far as loading it needs to know.
///
/// Virtual addresses are those of the file: the loader adds the address at which the image was mapped.
#[derive(Debug)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct ImageFile {
    /// Virtual addresses that the mapped image occupies, from its first to its last segment.
    pub(crate) span: Range<u64>,
    /// Virtual addresses of its code, from the first to the last.
    pub(crate) code: Range<u64>,
    /// The part of a writable segment that the loader makes read-only after relocation.
    #[allow(dead_code, reason = "only ELF files have one")]
    pub(crate) relro: Option<Range<u64>>,
    /// The initial contents of the image's thread-local storage.
    pub(crate) tls: Option<TlsTemplate>,
    /// Pointers to imported functions and data, which the loader fills in.
    pub(crate) import_slots: ImportSlots,
    /// Names of the libraries that it imports from.
    #[allow(dead_code, reason = "only PE files bind imports to libraries")]
    pub(crate) libraries: Vec<Box<str>>,
    /// Exported symbols whose names start with the prefix given to [`inspect_file`].
    pub(crate) exports: Vec<Export>,
    /// The bytes of the sections `.relib` and `.relib.*`, one section after the other; `None` if the file is not a relib
    /// module.
    pub(crate) metadata: Option<Vec<u8>>,
    /// Virtual addresses of the `.relibp` sections: the tables of the interfaces that the module imports.
    pub(crate) import_tables: Vec<Range<u64>>,
    /// The state flags of the dynamic section, if the file has any.
    pub(crate) flags_1: Option<PatchSite>,
    /// The functions that the dynamic loader calls when it has mapped the image.
    #[allow(dead_code, reason = "on Windows an image calls its own constructors")]
    pub(crate) constructors: Option<Constructors>,
    /// Size in bytes of the array of destructors, which the dynamic loader calls when it unmaps the image.
    #[allow(dead_code, reason = "on Windows an image calls its own destructors")]
    pub(crate) destructors_size: Option<PatchSite>,
    /// Symbols that glibc keeps unique in the process, and whose library it therefore never unmaps.
    pub(crate) unique_symbols: Vec<UniqueSymbol>,
}

impl ImageFile {
    /// The exported symbol called `name`, which starts with the prefix given to [`inspect_file`].
    pub(crate) fn export(&self, name: &str) -> Option<&Export> {
        self.exports.iter().find(|export| &*export.name == name)
    }

    /// Gives back the memory that was taken in advance, before this is kept for long.
    pub(crate) fn shrink_to_fit(&mut self) {
        self.import_slots.names.shrink_to_fit();
        self.import_slots.slots.shrink_to_fit();
        self.exports.shrink_to_fit();
    }
}

/// The part of the image that each thread gets its own copy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TlsTemplate {
    /// Virtual address of the initial contents.
    pub(crate) vaddr: u64,
    /// Size of the initial contents.
    pub(crate) filesz: u64,
    /// Size of the block, whose rest is zero.
    pub(crate) memsz: u64,
    /// Alignment of the block.
    pub(crate) align: u64,
}

/// Pointer-sized slots that the loader fills with the addresses of imported symbols.
///
/// There are some for each library, so their names stand one after the other, as they do in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ImportSlots {
    names: Vec<u8>,
    /// Where the name ends that starts at the end of the one before, and the slot.
    slots: Vec<(usize, u64)>,
    /// See [`ImportSlots::found`].
    found: OnceLock<Vec<(usize, u64)>>,
}

impl ImportSlots {
    /// With room for some slots and for names of so many bytes together, if these are sizes that libraries have.
    #[allow(dead_code, reason = "the sizes are known in advance for ELF files only")]
    pub(crate) fn with_capacity(slots: usize, names: u64) -> Self {
        const MOST_SLOTS: usize = 1 << 10;
        const MOST_BYTES: u64 = 16 << 10;
        let names = Vec::with_capacity(names.min(MOST_BYTES) as usize);
        Self { names, slots: Vec::with_capacity(slots.min(MOST_SLOTS)), found: OnceLock::new() }
    }

    /// Adds a slot by the name of its symbol, without a version, and its virtual address, which is aligned to 8 and
    /// inside a writable segment.
    pub(crate) fn push(&mut self, name: &[u8], vaddr: u64) {
        self.names.extend_from_slice(name);
        self.slots.push((self.names.len(), vaddr));
    }

    /// The names of the symbols with the virtual addresses of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let mut start = 0;
        self.slots.iter().map(move |(end, vaddr)| {
            let name = &self.names[start..*end];
            start = *end;
            (name, *vaddr)
        })
    }

    /// The slots whose names have numbers by a table that is part of the file, with these numbers. `number_of` is asked for
    /// the table when they are looked for, which is once.
    pub(crate) fn found<F: Fn(&[u8]) -> Option<usize>>(
        &self,
        number_of: impl FnOnce() -> F,
    ) -> &[(usize, u64)] {
        self.found.get_or_init(|| {
            let number_of = number_of();
            self.iter().filter_map(|(name, vaddr)| Some((number_of(name)?, vaddr))).collect()
        })
    }
}

/// A symbol that the image defines for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Export {
    /// Name of the symbol, without a version.
    pub(crate) name: Box<str>,
    /// Virtual address of the symbol.
    pub(crate) vaddr: u64,
    /// Size of the symbol; `vaddr + size` lies inside the image.
    pub(crate) size: u64,
}

/// The array of constructors, which was found to hold functions only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Constructors {
    /// Virtual addresses of the array: pointers to functions, after relocation.
    pub(crate) array: Range<u64>,
    /// The array's size in bytes, as the dynamic loader reads it.
    pub(crate) size: PatchSite,
}

/// A value of the dynamic section and where it stands, so that it can be changed in a private copy or when it is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PatchSite {
    /// Offset of the value in the file: eight bytes, little-endian.
    pub(crate) file_offset: u64,
    /// Virtual address of the value.
    #[allow(dead_code, reason = "only ELF files have such values")]
    pub(crate) vaddr: u64,
    /// The value.
    pub(crate) value: u64,
}

impl PatchSite {
    const NODELETE: u64 = 0x8;

    /// Whether the file asks never to be unmapped (`DF_1_NODELETE`).
    pub(crate) fn nodelete(self) -> bool {
        self.value & Self::NODELETE != 0
    }

    /// The value with `DF_1_NODELETE` cleared.
    #[allow(dead_code, reason = "only ELF files have the flag")]
    pub(crate) fn without_nodelete(self) -> u64 {
        self.value & !Self::NODELETE
    }
}

/// A defined symbol with `STB_GNU_UNIQUE` binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UniqueSymbol {
    /// Name of the symbol.
    pub(crate) name: Box<str>,
    /// Offset of the symbol's `st_info` byte in the file.
    pub(crate) st_info_offset: u64,
}
