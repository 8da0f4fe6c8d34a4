//! What a module's file says of itself: a sequence of records in the section [`SECTION`], readable without loading it.
//!
//! Each record is `MAGIC`, its kind, three zero bytes, the length of its payload as a little-endian `u32`, and the
//! payload. Zero bytes between records are padding of the linker. Records are built in constants by [`record`] and the
//! `*_payload` functions; they are read by the host, which trusts nothing in them.
//!
//! Numbers are little-endian; a text is its length in bytes as a `u32`, then UTF-8.

use crate::schema::{Field, Function, Shape, Type};

/// Name of the section. PE/COFF allows eight bytes.
///
/// Each import interface has a section of its own, so that the linker can drop the interfaces that a module does not
/// use: `.relib.Name` in an ELF file, and `.relib$Name` for PE, which becomes a part of `.relib`.
pub const SECTION: &str = crate::name!(section);

/// Name of the section with the [`ImportTable`](crate::entry::ImportTable)s. They contain addresses, which only the
/// loaded image knows, and so stand apart from the records. Divided by interfaces like [`SECTION`].
pub const IMPORT_SECTION: &str = crate::name!(import_section);

/// Name of the section in which a *host's* file says what it asks of modules and offers to them. Divided like [`SECTION`],
/// so that the linker keeps what the host uses; loading does not read it, tools do.
pub const HOST_SECTION: &str = ".relibh";

/// First bytes of each record.
pub const MAGIC: [u8; 4] = *b"RLB1";

/// Length in bytes of what stands before a record's payload.
pub const HEADER_LEN: usize = 12;

/// What a record describes.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// Compiler, target and relib that built the image. Payload: ABI version, relib version, compiler, target, panic
    /// strategy.
    Build = 1,
    /// An interface that the module implements. Payload: symbol of its table, interface.
    Export = 2,
    /// An interface that the module calls. Payload: interface.
    Import = 3,
    /// The module's `main`. Payload: an interface of that one function.
    Main = 4,
    /// The module's `before_unload`. Payload: an interface of that one function.
    BeforeUnload = 5,
    /// How the module saves its state. Payload: an interface of one function, which returns the state.
    SaveState = 6,
    /// How the module takes saved state. Payload: as for `SaveState`.
    RestoreState = 7,
    /// How the module makes its state of one of another shape. Payload: as for `SaveState`.
    MigrateState = 8,
    /// An interface that a host asks modules for; only in [`HOST_SECTION`]. Payload: interface.
    Wanted = 16,
    /// An interface that a host implements; only in [`HOST_SECTION`]. Payload: interface.
    Provided = 17,
}

impl RecordKind {
    /// The kind with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Build,
            2 => Self::Export,
            3 => Self::Import,
            4 => Self::Main,
            5 => Self::BeforeUnload,
            6 => Self::SaveState,
            7 => Self::RestoreState,
            8 => Self::MigrateState,
            16 => Self::Wanted,
            17 => Self::Provided,
            _ => return None,
        })
    }
}

/// Length in bytes of the record with this payload.
pub const fn record_len(payload: &[&[u8]]) -> usize {
    let mut len = HEADER_LEN;
    let mut i = 0;
    while i < payload.len() {
        len += payload[i].len();
        i += 1;
    }
    len
}

/// A whole record; `N` is [`record_len`] of the same payload.
pub const fn record<const N: usize>(kind: RecordKind, payload: &[&[u8]]) -> [u8; N] {
    let mut writer = Writer::<N>::new();
    writer.bytes(&MAGIC);
    writer.bytes(&[kind as u8, 0, 0, 0]);
    writer.number32(N - HEADER_LEN);
    let mut i = 0;
    while i < payload.len() {
        writer.bytes(payload[i]);
        i += 1;
    }
    writer.finish()
}

/// The payload of [`RecordKind::Build`] for the image that this is compiled into.
pub const BUILD_PAYLOAD: &[u8] = &{
    const LEN: usize = write_build(Writer::<0>::new()).len;
    write_build(Writer::<LEN>::new()).finish()
};

const fn write_build<const N: usize>(mut writer: Writer<N>) -> Writer<N> {
    writer.number32(crate::ABI_VERSION as usize);
    writer.text(crate::RELIB_VERSION);
    writer.text(crate::RUSTC_VERSION);
    writer.text(crate::TARGET);
    writer.text(if cfg!(panic = "unwind") { "unwind" } else { "abort" });
    writer
}

/// Length in bytes of [`symbol_payload`].
pub const fn symbol_payload_len(symbol: &str) -> usize {
    4 + symbol.len()
}

/// The symbol part of [`RecordKind::Export`]; `N` is [`symbol_payload_len`].
pub const fn symbol_payload<const N: usize>(symbol: &str) -> [u8; N] {
    let mut writer = Writer::<N>::new();
    writer.text(symbol);
    writer.finish()
}

/// Identifies an interface by its whole payload, so that a record finds its [`ImportTable`](crate::entry::ImportTable).
pub const fn interface_id(payload: &[u8]) -> u64 {
    crate::schema::hash(payload)
}

/// Length in bytes of [`interface_payload`].
pub const fn interface_payload_len(name: &str, functions: &[Function]) -> usize {
    write_interface(Writer::<0>::new(), name, functions).len
}

/// Name, functions and types of an interface; `N` is [`interface_payload_len`].
pub const fn interface_payload<const N: usize>(name: &str, functions: &[Function]) -> [u8; N] {
    write_interface(Writer::<N>::new(), name, functions).finish()
}

const fn write_interface<const N: usize>(
    mut writer: Writer<N>,
    name: &str,
    functions: &[Function],
) -> Writer<N> {
    writer.text(name);
    writer.number32(functions.len());
    let mut types = TypeSet::new();
    let mut i = 0;
    while i < functions.len() {
        let function = &functions[i];
        writer.number64(function.fingerprint());
        writer.text(function.name);
        writer.number32(function.parameters.len());
        let mut p = 0;
        while p < function.parameters.len() {
            let parameter = &function.parameters[p];
            writer.text(parameter.name);
            writer.number64(parameter.ty.fingerprint);
            types.insert(parameter.ty);
            p += 1;
        }
        writer.number64(function.returns.fingerprint);
        writer.text(function.lifetimes);
        types.insert(function.returns);
        i += 1;
    }
    // Types refer to types: the set grows while it is written, so its length stands behind it.
    let mut i = 0;
    while i < types.len {
        writer.number32(1);
        write_type(&mut writer, types.get(i), &mut types);
        i += 1;
    }
    writer.number32(0);
    writer
}

const fn write_type<const N: usize>(writer: &mut Writer<N>, ty: &'static Type, types: &mut TypeSet) {
    writer.number64(ty.fingerprint);
    writer.text(ty.path);
    writer.number64(ty.size as u64);
    writer.number64(ty.align as u64);
    writer.number32(ty.arguments.len());
    let mut i = 0;
    while i < ty.arguments.len() {
        writer.number64(ty.arguments[i].fingerprint);
        types.insert(ty.arguments[i]);
        i += 1;
    }
    writer.text(ty.repr);
    writer.bytes(&[ty.shape.kind() as u8]);
    match &ty.shape {
        Shape::Struct(fields) => write_fields(writer, fields, types),
        Shape::Enum(variants) => {
            writer.number32(variants.len());
            let mut i = 0;
            while i < variants.len() {
                writer.text(variants[i].name);
                writer.bytes(&variants[i].discriminant.to_le_bytes());
                write_fields(writer, variants[i].fields, types);
                i += 1;
            }
        }
        _ => {}
    }
}

const fn write_fields<const N: usize>(writer: &mut Writer<N>, fields: &'static [Field], types: &mut TypeSet) {
    writer.number32(fields.len());
    let mut i = 0;
    while i < fields.len() {
        let field = &fields[i];
        writer.text(field.name);
        writer.number64(field.offset as u64);
        writer.number64(field.ty.fingerprint);
        types.insert(field.ty);
        i += 1;
    }
}

/// Writes into `N` bytes, or, for `N` zero, only counts.
struct Writer<const N: usize> {
    buffer: [u8; N],
    len: usize,
}

impl<const N: usize> Writer<N> {
    const fn new() -> Self {
        Self { buffer: [0; N], len: 0 }
    }

    const fn bytes(&mut self, bytes: &[u8]) {
        if N > 0 {
            assert!(bytes.len() <= N - self.len, "the buffer is shorter than what was counted");
            // Not by slices of the buffer: the compiler's interpreter would take most of its time for them.
            // SAFETY: the place begins inside the buffer and has room for the bytes, as was just made sure; what is written
            // there is borrowed from somewhere else, since the buffer is borrowed for writing.
            unsafe {
                let place = self.buffer.as_mut_ptr().add(self.len);
                core::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len());
            }
        }
        self.len += bytes.len();
    }

    const fn number32(&mut self, number: usize) {
        assert!(number <= u32::MAX as usize, "an interface description is too large");
        self.bytes(&(number as u32).to_le_bytes());
    }

    const fn number64(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    const fn text(&mut self, text: &str) {
        self.number32(text.len());
        self.bytes(text.as_bytes());
    }

    const fn finish(self) -> [u8; N] {
        assert!(self.len == N, "the buffer does not have the counted length");
        self.buffer
    }
}

/// The types of one interface, each once, in the order in which they were met.
struct TypeSet {
    types: [Option<&'static Type>; TypeSet::CAPACITY],
    len: usize,
    /// Where in `types` a fingerprint is, plus one; at the place that its lower bits give, or behind it (open addressing). An
    /// interface is described by the compiler's interpreter, which takes too long for a search through all types.
    places: [u16; TypeSet::PLACES],
}

impl TypeSet {
    const CAPACITY: usize = 1024;
    const PLACES: usize = 4 * Self::CAPACITY;

    const fn new() -> Self {
        Self { types: [None; Self::CAPACITY], len: 0, places: [0; Self::PLACES] }
    }

    const fn insert(&mut self, ty: &'static Type) {
        let mut place = ty.fingerprint as usize % Self::PLACES;
        while self.places[place] != 0 {
            if self.get(self.places[place] as usize - 1).fingerprint == ty.fingerprint {
                return;
            }
            place = (place + 1) % Self::PLACES;
        }
        assert!(self.len < Self::CAPACITY, "an interface may refer to at most 1024 different types");
        self.types[self.len] = Some(ty);
        self.len += 1;
        self.places[place] = self.len as u16;
    }

    const fn get(&self, index: usize) -> &'static Type {
        match self.types[index] {
            Some(ty) => ty,
            None => panic!("the index is past the end of the set"),
        }
    }
}
