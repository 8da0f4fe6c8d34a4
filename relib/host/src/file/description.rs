//! Interfaces as they are read from a module's metadata, and the comparison of what a host asks for with what a module
//! offers.
//!
//! Nothing here trusts the bytes: every length is checked, and what does not parse is reported as damaged.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use relib_abi::metadata::{BUILD_PAYLOAD, HEADER_LEN, MAGIC, RecordKind, record, record_len};
use relib_abi::schema::{self, Field, Shape, ShapeKind, Type};
use relib_interface::interface::{Interface, keep_record};

use crate::file::error::CallMainError;

/// The records of a module's metadata.
#[derive(Debug, Default)]
pub(crate) struct ModuleDescription {
    pub(crate) build: Option<Cow<'static, Build>>,
    pub(crate) exports: Vec<ExportDescription>,
    pub(crate) imports: Vec<ImportDescription>,
    pub(crate) main: Option<InterfaceDescription>,
    pub(crate) before_unload: bool,
    pub(crate) save_state: Option<InterfaceDescription>,
    pub(crate) restore_state: Option<InterfaceDescription>,
    pub(crate) migrate_state: Option<InterfaceDescription>,
}

/// What built a module or a host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Build {
    /// Version of the contract between the two images.
    pub abi_version: u32,
    /// Version of the relib crates.
    pub relib_version: String,
    /// The compiler: version, commit and LLVM version.
    pub rustc: String,
    /// The target triple.
    pub target: String,
    /// `unwind` or `abort`.
    pub panic_strategy: String,
}

const OWN_BUILD_LEN: usize = record_len(&[BUILD_PAYLOAD]);

/// What built this program, where tools find it in the program's file.
#[cfg_attr(not(windows), unsafe(link_section = ".relibh.build"))]
#[cfg_attr(windows, unsafe(link_section = ".relibh$build"))]
static OWN_BUILD: [u8; OWN_BUILD_LEN] = record(RecordKind::Build, &[BUILD_PAYLOAD]);

impl Build {
    /// What built this program.
    pub fn of_this_program() -> Self {
        Self::own().clone()
    }

    /// What built this program; read once.
    pub(crate) fn own() -> &'static Self {
        static OWN: LazyLock<Build> = LazyLock::new(|| {
            keep_record(&OWN_BUILD);
            Reader(BUILD_PAYLOAD).build().expect("the payload was written by the same version of relib_abi")
        });
        &OWN
    }
}

/// A struct or an enum that crosses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypeInfo {
    /// The name with its path.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Alignment in bytes.
    pub align: u64,
    /// The definition on one line: `struct Player { name: String, score: u64 }`.
    pub definition: String,
}

/// An interface that the module implements.
#[derive(Debug)]
pub(crate) struct ExportDescription {
    /// Symbol of its table.
    pub(crate) symbol: String,
    pub(crate) interface: ModuleInterface,
}

/// An interface that the module calls.
#[derive(Debug)]
pub(crate) struct ImportDescription {
    /// Finds its table.
    pub(crate) id: u64,
    pub(crate) interface: ModuleInterface,
}

/// An interface of a module's.
#[derive(Debug)]
pub(crate) enum ModuleInterface {
    /// It has the very bytes of one of this program's: there is nothing to read, and nothing to compare.
    Same(&'static Interface),
    /// What its record says.
    Read(InterfaceDescription),
}

/// An interface with everything that its functions refer to.
#[derive(Clone, Debug)]
pub(crate) struct InterfaceDescription {
    pub(crate) name: String,
    pub(crate) functions: Vec<FunctionDescription>,
    types: HashMap<u64, TypeDescription>,
}

#[derive(Clone, Debug)]
pub(crate) struct FunctionDescription {
    fingerprint: u64,
    pub(crate) name: String,
    parameters: Vec<(String, u64)>,
    pub(crate) returns: u64,
}

#[derive(Clone, Debug)]
struct TypeDescription {
    path: String,
    size: u64,
    align: u64,
    arguments: Vec<u64>,
    /// What its `#[repr(...)]` says; empty if it has none.
    repr: String,
    shape: ShapeDescription,
}

#[derive(Clone, Debug)]
enum ShapeDescription {
    Opaque,
    Reference,
    MutableReference,
    Slice,
    Tuple,
    Array,
    Struct(Vec<FieldDescription>),
    Enum(Vec<VariantDescription>),
}

#[derive(Clone, Debug)]
struct VariantDescription {
    name: String,
    discriminant: i128,
    fields: Vec<FieldDescription>,
}

#[derive(Clone, Debug)]
struct FieldDescription {
    name: String,
    offset: u64,
    ty: u64,
}

/// The metadata does not have the form that `relib_abi::metadata` describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged(pub(crate) &'static str);

type Parsed<T> = Result<T, Damaged>;

/// Takes the records of a section apart.
fn records(mut section: &[u8]) -> impl Iterator<Item = Parsed<(RecordKind, &[u8])>> {
    let mut next = move || {
        // Linkers pad between the records of different objects.
        let padding = section.iter().take_while(|byte| **byte == 0).count();
        section = &section[padding..];
        if section.is_empty() {
            return Ok(None);
        }
        let header = section.get(..HEADER_LEN).ok_or(Damaged("a record is cut short"))?;
        if header[..4] != MAGIC || header[5..8] != [0; 3] {
            return Err(Damaged("a record does not start with its mark"));
        }
        let kind = RecordKind::from_number(header[4]).ok_or(Damaged("a record is of no known kind"))?;
        let len = u32::from_le_bytes(header[8..12].try_into().expect("four bytes")) as usize;
        let payload =
            section[HEADER_LEN..].get(..len).ok_or(Damaged("a record is longer than its section"))?;
        section = &section[HEADER_LEN + len..];
        Ok(Some((kind, payload)))
    };
    let mut damaged = false;
    std::iter::from_fn(move || {
        if damaged {
            return None;
        }
        let record = next().transpose();
        damaged = matches!(record, Some(Err(_)));
        record
    })
}

impl ModuleDescription {
    /// Reads the section of a module; `own` are interfaces of this program that the module is likely to have too.
    pub(crate) fn parse(section: &[u8], own: &[&'static Interface]) -> Parsed<Self> {
        let mut description = Self::default();
        for record in records(section) {
            let (kind, payload) = record?;
            description.add(kind, payload, own)?;
        }
        Ok(description)
    }

    fn add(&mut self, kind: RecordKind, payload: &[u8], own: &[&'static Interface]) -> Parsed<()> {
        let mut reader = Reader(payload);
        match kind {
            RecordKind::Build => {
                let build = if reader.skip(BUILD_PAYLOAD) {
                    Cow::Borrowed(Build::own())
                } else {
                    Cow::Owned(reader.build()?)
                };
                if self.build.replace(build).is_some() {
                    return Err(Damaged(
                        "there is more than one build record: two versions of relib_module are linked",
                    ));
                }
            }
            RecordKind::Export => {
                let symbol = reader.text()?;
                self.exports.push(ExportDescription { symbol, interface: reader.interface_of_module(own)? });
            }
            RecordKind::Import => {
                let id = relib_abi::metadata::interface_id(payload);
                self.imports.push(ImportDescription { id, interface: reader.interface_of_module(own)? });
            }
            RecordKind::Main => reader.one_function(&mut self.main)?,
            RecordKind::SaveState => reader.one_function(&mut self.save_state)?,
            RecordKind::RestoreState => reader.one_function(&mut self.restore_state)?,
            RecordKind::MigrateState => reader.one_function(&mut self.migrate_state)?,
            RecordKind::BeforeUnload => {
                reader.interface()?;
                self.before_unload = true;
            }
            RecordKind::Wanted | RecordKind::Provided => {
                return Err(Damaged("it holds a record that only a host has"));
            }
        }
        reader.finish()
    }

    /// The module's implementation of an interface that a host asks for, and for each function of the latter its index
    /// in the former.
    pub(crate) fn find_export(
        &self,
        wanted: &impl Side,
    ) -> Result<(&ExportDescription, Vec<usize>), Box<InterfaceProblem>> {
        let sides = Sides { caller: "the host", implementor: "the module" };
        let (index, functions) =
            find_implementation(wanted, self.exports.iter().map(|export| &export.interface), sides)?;
        Ok((&self.exports[index], functions))
    }
}

/// The records of a host's file.
#[derive(Debug, Default)]
pub(crate) struct HostDescription {
    pub(crate) build: Option<Build>,
    pub(crate) wanted: Vec<InterfaceDescription>,
    pub(crate) provided: Vec<InterfaceDescription>,
}

impl HostDescription {
    /// Reads the section of a host.
    pub(crate) fn parse(section: &[u8]) -> Parsed<Self> {
        let mut description = Self::default();
        for record in records(section) {
            let (kind, payload) = record?;
            let mut reader = Reader(payload);
            match kind {
                // A host may link two versions of relib; what either loads has its own build record to fit.
                RecordKind::Build => description.build = Some(reader.build()?),
                RecordKind::Wanted => description.wanted.push(reader.interface()?),
                RecordKind::Provided => description.provided.push(reader.interface()?),
                _ => return Err(Damaged("it holds a record that only a module has")),
            }
            reader.finish()?;
        }
        Ok(description)
    }
}

/// Reads the payloads of records.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// Makes sure that nothing is left.
    fn finish(self) -> Parsed<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Damaged("a record holds more than its kind has")) }
    }

    /// Goes on behind `bytes`, if they are the ones that come next.
    fn skip(&mut self, bytes: &[u8]) -> bool {
        let rest = self.0.strip_prefix(bytes);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn bytes<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(Damaged("a number is cut short"))?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn number32(&mut self) -> Parsed<u32> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn number64(&mut self) -> Parsed<u64> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn text(&mut self) -> Parsed<String> {
        let len = self.number32()? as usize;
        let (text, rest) = self.0.split_at_checked(len).ok_or(Damaged("a text is longer than its record"))?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).map_err(|_| Damaged("a text is not UTF-8"))
    }

    /// Reads as many items as a number says, without trusting that there are so many.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let count = self.number32()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn build(&mut self) -> Parsed<Build> {
        let abi_version = self.number32()?;
        Ok(Build {
            abi_version,
            relib_version: self.text()?,
            rustc: self.text()?,
            target: self.text()?,
            panic_strategy: self.text()?,
        })
    }

    fn interface(&mut self) -> Parsed<InterfaceDescription> {
        let name = self.text()?;
        let functions = self.list(Self::function)?;
        let mut types = HashMap::new();
        while self.number32()? != 0 {
            let (fingerprint, ty) = self.ty()?;
            types.insert(fingerprint, ty);
        }
        Ok(InterfaceDescription { name, functions, types })
    }

    /// As [`Reader::interface`], unless it is one of `own`.
    fn interface_of_module(&mut self, own: &[&'static Interface]) -> Parsed<ModuleInterface> {
        match own.iter().find(|own| self.skip(own.payload)) {
            Some(own) => Ok(ModuleInterface::Same(own)),
            None => self.interface().map(ModuleInterface::Read),
        }
    }

    /// Reads the interface of a function that is exported by name, which is there once.
    fn one_function(&mut self, place: &mut Option<InterfaceDescription>) -> Parsed<()> {
        let interface = self.interface()?;
        if interface.functions.len() != 1 || place.replace(interface).is_some() {
            return Err(Damaged("a function that is exported by name is not described as one function"));
        }
        Ok(())
    }

    fn function(&mut self) -> Parsed<FunctionDescription> {
        Ok(FunctionDescription {
            fingerprint: self.number64()?,
            name: self.text()?,
            parameters: self.list(|reader| Ok((reader.text()?, reader.number64()?)))?,
            returns: self.number64()?,
        })
    }

    fn ty(&mut self) -> Parsed<(u64, TypeDescription)> {
        let fingerprint = self.number64()?;
        let path = self.text()?;
        let size = self.number64()?;
        let align = self.number64()?;
        let arguments = self.list(Self::number64)?;
        let repr = self.text()?;
        let [tag] = self.bytes()?;
        let kind = ShapeKind::from_number(tag).ok_or(Damaged("a type is of no known shape"))?;
        let shape = match kind {
            ShapeKind::Opaque => ShapeDescription::Opaque,
            ShapeKind::Reference => ShapeDescription::Reference,
            ShapeKind::MutableReference => ShapeDescription::MutableReference,
            ShapeKind::Slice => ShapeDescription::Slice,
            ShapeKind::Tuple => ShapeDescription::Tuple,
            ShapeKind::Array => ShapeDescription::Array,
            ShapeKind::Struct => ShapeDescription::Struct(self.list(Self::field)?),
            ShapeKind::Enum => ShapeDescription::Enum(self.list(Self::variant)?),
        };
        Ok((fingerprint, TypeDescription { path, size, align, arguments, repr, shape }))
    }

    fn variant(&mut self) -> Parsed<VariantDescription> {
        Ok(VariantDescription {
            name: self.text()?,
            discriminant: i128::from_le_bytes(self.bytes()?),
            fields: self.list(Self::field)?,
        })
    }

    fn field(&mut self) -> Parsed<FieldDescription> {
        Ok(FieldDescription { name: self.text()?, offset: self.number64()?, ty: self.number64()? })
    }
}

impl InterfaceDescription {
    /// Reads the payload that a side's own macro made.
    pub(crate) fn parse(payload: &[u8]) -> Parsed<Self> {
        Reader(payload).interface()
    }

    /// The description of a function of this program's that takes nothing and returns `returns`.
    fn of_main(returns: &'static Type) -> Self {
        let mut types = HashMap::new();
        describe(returns, &mut types);
        Self { name: String::new(), functions: Vec::new(), types }
    }

    /// A function as it is written in source code.
    pub(crate) fn signature(&self, function: &FunctionDescription) -> String {
        let parameters: Vec<String> =
            function.parameters.iter().map(|(name, ty)| format!("{name}: {}", self.type_name(*ty))).collect();
        let returns = match self.type_name(function.returns) {
            unit if unit == "()" => String::new(),
            name => format!(" -> {name}"),
        };
        format!("fn {}({}){returns}", function.name, parameters.join(", "))
    }

    /// A type as it is written in source code, with the paths of the types that users define.
    pub(crate) fn type_name(&self, fingerprint: u64) -> String {
        self.type_name_within(fingerprint, 8)
    }

    /// Names nest as deeply as `depth`: a file that is not to be trusted can describe a type that contains itself.
    fn type_name_within(&self, fingerprint: u64, depth: usize) -> String {
        let (Some(ty), Some(depth)) = (self.types.get(&fingerprint), depth.checked_sub(1)) else {
            return "_".to_owned();
        };
        let names: Vec<String> =
            ty.arguments.iter().map(|argument| self.type_name_within(*argument, depth)).collect();
        let first = names.first().map_or("_", String::as_str);
        match &ty.shape {
            ShapeDescription::Reference => format!("&{first}"),
            ShapeDescription::MutableReference => format!("&mut {first}"),
            ShapeDescription::Slice => format!("[{first}]"),
            ShapeDescription::Tuple if names.len() == 1 => format!("({first},)"),
            ShapeDescription::Tuple => format!("({})", names.join(", ")),
            ShapeDescription::Array => {
                let len = ty.arguments.get(1).and_then(|len| self.types.get(len)).map_or(0, |len| len.size);
                format!("[{first}; {len}]")
            }
            _ if ty.path == "Box<[_]>" => format!("Box<[{first}]>"),
            _ if names.is_empty() => ty.path.clone(),
            _ => format!("{}<{}>", ty.path, names.join(", ")),
        }
    }

    /// What the only function returns.
    pub(crate) fn returned(&self) -> u64 {
        self.functions[0].returns
    }

    /// What the only function returns, in words: a struct or an enum with what it consists of.
    pub(crate) fn returned_in_words(&self) -> String {
        let fingerprint = self.returned();
        let name = self.type_name(fingerprint);
        match self.types.get(&fingerprint).map(|ty| &ty.shape) {
            Some(ShapeDescription::Struct(fields)) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|field| format!("{}: {}", field.name, self.type_name(field.ty)))
                    .collect();
                format!("{name} {{ {} }}", fields.join(", "))
            }
            Some(ShapeDescription::Enum(variants)) => {
                let variants: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
                format!("{name} {{ {} }}", variants.join(", "))
            }
            _ => name,
        }
    }
}

/// What tools show of an interface.
impl InterfaceDescription {
    /// The structs and enums that its functions refer to, in the order of their names.
    pub(crate) fn user_types(&self) -> Vec<TypeInfo> {
        let mut types: Vec<TypeInfo> = self
            .types
            .iter()
            .filter_map(|(fingerprint, ty)| {
                let name = self.type_name(*fingerprint);
                let definition = match &ty.shape {
                    ShapeDescription::Struct(fields) => format!("struct {name}{}", self.fields(fields)),
                    ShapeDescription::Enum(variants) => {
                        let variants: Vec<String> = variants
                            .iter()
                            .map(|variant| match variant.fields.as_slice() {
                                [] => variant.name.clone(),
                                fields => format!("{}{}", variant.name, self.fields(fields)),
                            })
                            .collect();
                        format!("enum {name} {{ {} }}", variants.join(", "))
                    }
                    _ => return None,
                };
                Some(TypeInfo { name, size: ty.size, align: ty.align, definition })
            })
            .collect();
        types.sort_by(|a, b| a.name.cmp(&b.name));
        types
    }

    fn fields(&self, fields: &[FieldDescription]) -> String {
        let is_tuple = fields.iter().all(|field| field.name.parse::<usize>().is_ok());
        let types = fields.iter().map(|field| self.type_name(field.ty));
        if fields.is_empty() {
            String::new()
        } else if is_tuple {
            format!("({})", types.collect::<Vec<_>>().join(", "))
        } else {
            let fields = fields.iter().zip(types).map(|(field, ty)| format!("{}: {ty}", field.name));
            format!(" {{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Adds a type of this program's, and the types that it refers to.
fn describe(ty: &'static Type, types: &mut HashMap<u64, TypeDescription>) {
    if types.contains_key(&ty.fingerprint) {
        return;
    }
    let refer = |types: &mut HashMap<u64, TypeDescription>, ty: &'static Type| {
        describe(ty, types);
        ty.fingerprint
    };
    let describe_fields = |types: &mut HashMap<u64, TypeDescription>, fields: &'static [Field]| {
        let describe_field = |field: &'static Field| FieldDescription {
            name: field.name.to_owned(),
            offset: field.offset as u64,
            ty: refer(types, field.ty),
        };
        fields.iter().map(describe_field).collect()
    };
    let shape = match &ty.shape {
        Shape::Opaque => ShapeDescription::Opaque,
        Shape::Reference => ShapeDescription::Reference,
        Shape::MutableReference => ShapeDescription::MutableReference,
        Shape::Slice => ShapeDescription::Slice,
        Shape::Tuple => ShapeDescription::Tuple,
        Shape::Array => ShapeDescription::Array,
        Shape::Struct(fields) => ShapeDescription::Struct(describe_fields(types, fields)),
        Shape::Enum(variants) => {
            let describe_variant = |variant: &'static schema::Variant| VariantDescription {
                name: variant.name.to_owned(),
                discriminant: variant.discriminant,
                fields: describe_fields(types, variant.fields),
            };
            ShapeDescription::Enum(variants.iter().map(describe_variant).collect())
        }
    };
    let description = TypeDescription {
        path: ty.path.to_owned(),
        size: ty.size as u64,
        align: ty.align as u64,
        arguments: ty.arguments.iter().map(|argument| refer(types, argument)).collect(),
        repr: ty.repr.to_owned(),
        shape,
    };
    types.insert(ty.fingerprint, description);
}

/// Why a `main` of a module that is described by `module` does not return `asked`; `None` if it does.
pub(crate) fn match_main(asked: &'static Type, module: &InterfaceDescription) -> Option<CallMainError> {
    let returns = module.returned();
    if returns == asked.fingerprint {
        return None;
    }
    let host = InterfaceDescription::of_main(asked);
    let sides = Sides { caller: "the host", implementor: "the module" };
    let comparison = Comparison { caller: &host, implementor: module, sides };
    Some(CallMainError::OtherType {
        asked: host.type_name(asked.fingerprint),
        returns: module.type_name(returns),
        difference: comparison.of_types(asked.fingerprint, returns, 16),
    })
}

/// How the state that `old` saves differs from the one that `new` restores, if their names read alike.
pub(crate) fn state_difference(old: &InterfaceDescription, new: &InterfaceDescription) -> Option<String> {
    let sides = Sides { caller: "the old module", implementor: "the new one" };
    Comparison { caller: old, implementor: new, sides }.of_types(old.returned(), new.returned(), 16)
}

/// Which of the two sides asks for functions and which offers them, in words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sides {
    /// The side that calls: "the host" or "the module".
    pub(crate) caller: &'static str,
    /// The side that implements.
    pub(crate) implementor: &'static str,
}

/// An interface as one of the two sides has it.
pub(crate) trait Side {
    fn name(&self) -> &str;

    /// Name and fingerprint of each function, in this side's order.
    fn functions(&self) -> impl Iterator<Item = (&str, u64)>;

    /// What explains a difference.
    fn description(&self) -> Cow<'_, InterfaceDescription>;

    /// The interface of this program's that this one is to the byte, if there is one.
    fn own(&self) -> Option<&'static Interface> {
        None
    }
}

impl Side for &'static Interface {
    fn name(&self) -> &str {
        self.name
    }

    fn functions(&self) -> impl Iterator<Item = (&str, u64)> {
        self.functions.iter().map(|function| (function.name, function.fingerprint()))
    }

    fn description(&self) -> Cow<'_, InterfaceDescription> {
        let description = InterfaceDescription::parse(self.payload);
        Cow::Owned(description.expect("the macro wrote the payload of this program's own interface"))
    }

    fn own(&self) -> Option<&'static Interface> {
        Some(self)
    }
}

impl ModuleInterface {
    /// How many functions it has.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Same(own) => own.functions.len(),
            Self::Read(read) => read.functions.len(),
        }
    }
}

impl Side for ModuleInterface {
    fn name(&self) -> &str {
        match self {
            Self::Same(own) => own.name(),
            Self::Read(read) => read.name(),
        }
    }

    fn functions(&self) -> impl Iterator<Item = (&str, u64)> {
        let (own, read) = match self {
            Self::Same(own) => (Some(own.functions()), None),
            Self::Read(read) => (None, Some(read.functions())),
        };
        own.into_iter().flatten().chain(read.into_iter().flatten())
    }

    fn description(&self) -> Cow<'_, InterfaceDescription> {
        match self {
            Self::Same(own) => own.description(),
            Self::Read(read) => read.description(),
        }
    }

    fn own(&self) -> Option<&'static Interface> {
        match self {
            Self::Same(own) => Some(own),
            Self::Read(_) => None,
        }
    }
}

impl Side for InterfaceDescription {
    fn name(&self) -> &str {
        &self.name
    }

    fn functions(&self) -> impl Iterator<Item = (&str, u64)> {
        self.functions.iter().map(|function| (function.name.as_str(), function.fingerprint))
    }

    fn description(&self) -> Cow<'_, InterfaceDescription> {
        Cow::Borrowed(self)
    }
}

/// For an interface that the module calls, the index of the host's implementation among `offers`, and for each function
/// of the former its index in the latter.
pub(crate) fn find_import<'a, S: Side + 'a>(
    import: &ModuleInterface,
    offers: impl Iterator<Item = &'a S>,
) -> Result<(usize, Vec<usize>), Box<InterfaceProblem>> {
    find_implementation(import, offers, Sides { caller: "the module", implementor: "the host" })
}

fn find_implementation<'a, S: Side + 'a>(
    wanted: &impl Side,
    offers: impl Iterator<Item = &'a S>,
    sides: Sides,
) -> Result<(usize, Vec<usize>), Box<InterfaceProblem>> {
    let (found, others): (Vec<_>, Vec<_>) =
        offers.enumerate().partition(|(_, offer)| offer.name() == wanted.name());
    match found.as_slice() {
        [(index, offer)] => match match_functions(wanted, *offer) {
            Some(functions) => Ok((*index, functions)),
            None => Err(Box::new(first_problem(&wanted.description(), &offer.description(), sides))),
        },
        [] => {
            let has = others.iter().map(|(_, offer)| format!("`{}`", offer.name())).collect();
            Err(Box::new(InterfaceProblem::MissingInterface { implementor: sides.implementor, has }))
        }
        _ => Err(Box::new(InterfaceProblem::Ambiguous { side: sides.implementor })),
    }
}

/// For each function that one side calls, its index in the other's table.
fn match_functions(caller: &impl Side, implementor: &impl Side) -> Option<Vec<usize>> {
    if let (Some(a), Some(b)) = (caller.own(), implementor.own())
        && a.payload == b.payload
    {
        return Some((0..a.functions.len()).collect());
    }
    let offered: HashMap<(&str, u64), usize> =
        implementor.functions().enumerate().map(|(index, function)| (function, index)).collect();
    caller.functions().map(|function| offered.get(&function).copied()).collect()
}

/// How two descriptions of an interface differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InterfaceProblem {
    /// One side does not have the interface at all.
    MissingInterface {
        /// The side that should implement it.
        implementor: &'static str,
        /// The interfaces that it implements.
        has: Vec<String>,
    },
    /// One side has several interfaces of this name, of which it cannot be said which is meant.
    Ambiguous {
        /// The side that has them.
        side: &'static str,
    },
    /// One side does not have a function that the other calls.
    MissingFunction {
        /// The side that should implement it.
        implementor: &'static str,
        /// The function as the caller knows it.
        signature: String,
    },
    /// A function has different signatures on the two sides.
    Signature {
        /// The side that calls it.
        caller: &'static str,
        /// The function as the caller knows it.
        expected: String,
        /// The side that implements it.
        implementor: &'static str,
        /// The function as the implementor has it.
        found: String,
        /// The first difference inside a type of the signature, if the signatures read alike.
        difference: Option<String>,
    },
}

impl fmt::Display for InterfaceProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingInterface { implementor, has } if has.is_empty() => {
                write!(f, "{implementor} does not implement it, nor any other interface")
            }
            Self::MissingInterface { implementor, has } => {
                write!(f, "{implementor} does not implement it; it implements {}", has.join(", "))
            }
            Self::Ambiguous { side } => write!(
                f,
                "{side} has it more than once; implement it once, and link one version of the crate that declares it"
            ),
            Self::MissingFunction { implementor, signature } => {
                write!(f, "{implementor} does not implement `{signature}`")
            }
            Self::Signature { caller, expected, implementor, found, difference } => {
                write!(f, "{caller} calls `{expected}`, {implementor} implements `{found}`")?;
                match difference {
                    Some(difference) => write!(f, ": {difference}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The first function of `caller` that `implementor` does not have as it is asked for.
fn first_problem(
    caller: &InterfaceDescription,
    implementor: &InterfaceDescription,
    sides: Sides,
) -> InterfaceProblem {
    for expected in &caller.functions {
        let Some(found) = implementor.functions.iter().find(|found| found.name == expected.name) else {
            return InterfaceProblem::MissingFunction {
                implementor: sides.implementor,
                signature: caller.signature(expected),
            };
        };
        if found.fingerprint != expected.fingerprint {
            let comparison = Comparison { caller, implementor, sides };
            return InterfaceProblem::Signature {
                caller: sides.caller,
                expected: caller.signature(expected),
                implementor: sides.implementor,
                found: implementor.signature(found),
                difference: comparison.of_functions(expected, found),
            };
        }
    }
    // Only reached for metadata in which a fingerprint does not belong to its function.
    InterfaceProblem::MissingFunction { implementor: sides.implementor, signature: caller.name.clone() }
}

/// Looks for the innermost difference between two descriptions.
struct Comparison<'a> {
    caller: &'a InterfaceDescription,
    implementor: &'a InterfaceDescription,
    sides: Sides,
}

impl Comparison<'_> {
    fn of_functions(&self, expected: &FunctionDescription, found: &FunctionDescription) -> Option<String> {
        let pairs = expected.parameters.iter().zip(&found.parameters).map(|((_, a), (_, b))| (*a, *b));
        pairs.chain([(expected.returns, found.returns)]).find_map(|(a, b)| self.of_types(a, b, 16))
    }

    /// The difference inside two types that have the same name; `None` if the names say it all.
    fn of_types(&self, expected: u64, found: u64, depth: usize) -> Option<String> {
        let depth = depth.checked_sub(1)?;
        if expected == found {
            return None;
        }
        if self.caller.type_name(expected) != self.implementor.type_name(found) {
            return None;
        }
        let (a, b) = (self.caller.types.get(&expected)?, self.implementor.types.get(&found)?);
        let inner = a.arguments.iter().zip(&b.arguments).find_map(|(a, b)| self.of_types(*a, *b, depth));
        let Sides { caller, implementor } = self.sides;
        let of_representations = || {
            (a.repr != b.repr).then(|| {
                let [ours, theirs] = [a, b].map(|ty| match ty.repr.as_str() {
                    "" => "no `#[repr]`".to_owned(),
                    repr => format!("`#[repr({repr})]`"),
                });
                format!("`{}` has {ours} in {caller}, {theirs} in {implementor}", a.path)
            })
        };
        inner.or_else(of_representations).or_else(|| self.of_shapes(a, b, depth)).or_else(|| {
            (a.size != b.size || a.align != b.align).then(|| {
                format!(
                    "`{}` has size {} and alignment {} in {caller}, size {} and alignment {} in {implementor}",
                    a.path, a.size, a.align, b.size, b.align
                )
            })
        })
    }

    fn of_shapes(&self, a: &TypeDescription, b: &TypeDescription, depth: usize) -> Option<String> {
        match (&a.shape, &b.shape) {
            (ShapeDescription::Struct(ours), ShapeDescription::Struct(theirs)) => {
                self.of_fields(&format!("`{}`", a.path), ours, theirs, depth)
            }
            (ShapeDescription::Enum(ours), ShapeDescription::Enum(theirs)) => {
                self.of_variants(&a.path, ours, theirs, depth)
            }
            _ => None,
        }
    }

    fn of_variants(
        &self,
        path: &str,
        ours: &[VariantDescription],
        theirs: &[VariantDescription],
        depth: usize,
    ) -> Option<String> {
        let Sides { caller, implementor } = self.sides;
        for (index, variant) in ours.iter().enumerate() {
            let owner = format!("variant `{}` of `{path}`", variant.name);
            let Some(place) = theirs.iter().position(|other| other.name == variant.name) else {
                return Some(format!("{owner} is missing in {implementor}"));
            };
            let other = &theirs[place];
            if let Some(difference) = self.of_fields(&owner, &variant.fields, &other.fields, depth) {
                return Some(difference);
            }
            if place != index || variant.discriminant != other.discriminant {
                return Some(format!(
                    "{owner} is at another place or has another value in {implementor} than in {caller}"
                ));
            }
        }
        let extra = theirs.get(ours.len())?;
        Some(format!("variant `{}` of `{path}` is missing in {caller}", extra.name))
    }

    fn of_fields(
        &self,
        owner: &str,
        ours: &[FieldDescription],
        theirs: &[FieldDescription],
        depth: usize,
    ) -> Option<String> {
        let Sides { caller, implementor } = self.sides;
        for field in ours {
            let subject = format!("field `{}` of {owner}", field.name);
            let Some(other) = theirs.iter().find(|other| other.name == field.name) else {
                return Some(format!("{subject} is missing in {implementor}"));
            };
            if field.ty != other.ty {
                let (ours, theirs) = (self.caller.type_name(field.ty), self.implementor.type_name(other.ty));
                return Some(match self.of_types(field.ty, other.ty, depth) {
                    Some(inner) => inner,
                    None => format!("{subject} is `{ours}` in {caller}, `{theirs}` in {implementor}"),
                });
            }
        }
        if let Some(extra) = theirs.iter().find(|other| !ours.iter().any(|field| field.name == other.name)) {
            return Some(format!("field `{}` of {owner} is missing in {caller}", extra.name));
        }
        // Offsets come last, because each of the differences above moves the fields that follow.
        let (field, other) = ours.iter().find_map(|field| {
            let other = theirs.iter().find(|other| other.name == field.name)?;
            (field.offset != other.offset && field.offset != Field::NO_OFFSET as u64)
                .then_some((field, other))
        })?;
        Some(format!(
            "field `{}` of {owner} is at offset {} in {caller}, at offset {} in {implementor}",
            field.name, field.offset, other.offset
        ))
    }
}
