//! Interfaces with everything that their functions refer to, as a file describes them, and in words.
//!
//! How two of them are compared is in `compare`, and how a difference is explained in `explain`.

use std::collections::HashMap;

use relib_abi::schema::{self, Field, Shape, ShapeKind, Type};

use super::reader::{Damaged, Parsed, Reader};

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

/// An interface with everything that its functions refer to.
#[derive(Clone, Debug)]
pub(crate) struct InterfaceDescription {
    pub(crate) name: String,
    pub(crate) functions: Vec<FunctionDescription>,
    pub(super) types: HashMap<u64, TypeDescription>,
}

#[derive(Clone, Debug)]
pub(crate) struct FunctionDescription {
    pub(super) fingerprint: u64,
    pub(crate) name: String,
    pub(super) parameters: Vec<(String, u64)>,
    pub(crate) returns: u64,
    /// See [`schema::Function::lifetimes`].
    pub(super) lifetimes: String,
}

#[derive(Clone, Debug)]
pub(super) struct TypeDescription {
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) align: u64,
    pub(super) arguments: Vec<u64>,
    /// What its `#[repr(...)]` says; empty if it has none.
    pub(super) repr: String,
    pub(super) shape: ShapeDescription,
}

#[derive(Clone, Debug)]
pub(super) enum ShapeDescription {
    Opaque,
    Reference,
    MutableReference,
    Slice,
    Tuple,
    Array,
    Struct(Vec<FieldDescription>),
    Enum(Vec<VariantDescription>),
    Constant,
}

#[derive(Clone, Debug)]
pub(super) struct VariantDescription {
    pub(super) name: String,
    pub(super) discriminant: i128,
    pub(super) fields: Vec<FieldDescription>,
}

#[derive(Clone, Debug)]
pub(super) struct FieldDescription {
    pub(super) name: String,
    pub(super) offset: u64,
    pub(super) ty: u64,
}

impl FunctionDescription {
    fn read(reader: &mut Reader<'_>) -> Parsed<Self> {
        Ok(Self {
            fingerprint: reader.number64()?,
            name: reader.text()?,
            parameters: reader.list(|reader| Ok((reader.text()?, reader.number64()?)))?,
            returns: reader.number64()?,
            lifetimes: reader.text()?,
        })
    }
}

impl TypeDescription {
    /// Reads a type with its fingerprint.
    fn read(reader: &mut Reader<'_>) -> Parsed<(u64, Self)> {
        let fingerprint = reader.number64()?;
        let path = reader.text()?;
        let size = reader.number64()?;
        let align = reader.number64()?;
        let arguments = reader.list(Reader::number64)?;
        let repr = reader.text()?;
        let [tag] = reader.bytes()?;
        let kind = ShapeKind::from_number(tag).ok_or(Damaged("a type is of no known shape"))?;
        let shape = match kind {
            ShapeKind::Opaque => ShapeDescription::Opaque,
            ShapeKind::Reference => ShapeDescription::Reference,
            ShapeKind::MutableReference => ShapeDescription::MutableReference,
            ShapeKind::Slice => ShapeDescription::Slice,
            ShapeKind::Tuple => ShapeDescription::Tuple,
            ShapeKind::Array => ShapeDescription::Array,
            ShapeKind::Struct => ShapeDescription::Struct(reader.list(FieldDescription::read)?),
            ShapeKind::Enum => ShapeDescription::Enum(reader.list(VariantDescription::read)?),
            ShapeKind::Constant => ShapeDescription::Constant,
        };
        Ok((fingerprint, Self { path, size, align, arguments, repr, shape }))
    }
}

impl VariantDescription {
    fn read(reader: &mut Reader<'_>) -> Parsed<Self> {
        Ok(Self {
            name: reader.text()?,
            discriminant: i128::from_le_bytes(reader.bytes()?),
            fields: reader.list(FieldDescription::read)?,
        })
    }
}

impl FieldDescription {
    fn read(reader: &mut Reader<'_>) -> Parsed<Self> {
        Ok(Self { name: reader.text()?, offset: reader.number64()?, ty: reader.number64()? })
    }
}

/// How deeply the name of a type nests, and how many parts it has, at most: more than anybody reads.
const MOST_NESTED: usize = 8;
const MOST_NAMED: usize = 256;

impl InterfaceDescription {
    /// Reads the payload that a side's own macro made.
    pub(super) fn parse(payload: &[u8]) -> Parsed<Self> {
        Self::read(&mut Reader(payload))
    }

    /// Reads what comes next in a payload.
    pub(super) fn read(reader: &mut Reader<'_>) -> Parsed<Self> {
        let name = reader.text()?;
        let functions = reader.list(FunctionDescription::read)?;
        let mut types = HashMap::new();
        while reader.number32()? != 0 {
            let (fingerprint, ty) = TypeDescription::read(reader)?;
            types.insert(fingerprint, ty);
        }
        Ok(Self { name, functions, types })
    }

    /// The description of a function of this program's that takes nothing and returns `returns`.
    pub(super) fn of_main(returns: &'static Type) -> Self {
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
        self.type_name_within(fingerprint, MOST_NESTED, &mut { MOST_NAMED })
    }

    /// Names nest as deeply as `depth`, and have so many parts: a file that is not to be trusted can describe a type that
    /// contains itself, and that many times.
    fn type_name_within(&self, fingerprint: u64, depth: usize, parts: &mut usize) -> String {
        *parts = parts.saturating_sub(1);
        let (Some(ty), Some(depth)) = (self.types.get(&fingerprint), depth.checked_sub(1)) else {
            return "_".to_owned();
        };
        let mut names = Vec::new();
        for argument in &ty.arguments {
            if *parts == 0 {
                names.push("_".to_owned());
                break;
            }
            names.push(self.type_name_within(*argument, depth, parts));
        }
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
            ShapeDescription::Constant => (u128::from(ty.align) << 64 | u128::from(ty.size)).to_string(),
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
        Shape::Constant => ShapeDescription::Constant,
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
