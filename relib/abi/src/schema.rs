//! Descriptions of the types and functions that cross the boundary.
//!
//! A [`Type`] is built in constants, one for each type that crosses. Its fingerprint covers everything that both sides
//! must agree on: path, size, alignment, and for structs and enums the representation and each field with its name, offset
//! and type. Two images may exchange a value exactly when their fingerprints of its type are equal; the description
//! behind the fingerprint is only read to explain a difference.

/// A type that may cross the boundary.
#[derive(Debug)]
pub struct Type {
    /// Path of the type as written where it is defined, without generic arguments: `alloc::vec::Vec`.
    pub path: &'static str,
    /// Size in bytes.
    pub size: usize,
    /// Alignment in bytes.
    pub align: usize,
    /// Generic arguments, or the parts of a built-in type such as a tuple.
    pub arguments: &'static [&'static Type],
    /// What the type is made of.
    pub shape: Shape,
    /// What its `#[repr(...)]` says; empty if it has none. An enum with one lays out the same fields in another way.
    pub repr: &'static str,
    /// Covers all of the above, including the fingerprints of the types that it refers to.
    pub fingerprint: u64,
}

/// What a type is made of, and how its name is written.
#[derive(Debug)]
pub enum Shape {
    /// Nothing that relib looks into: written as its path with its arguments.
    Opaque,
    /// `&T`
    Reference,
    /// `&mut T`
    MutableReference,
    /// `[T]`
    Slice,
    /// `(A, B)`
    Tuple,
    /// `[T; N]`
    Array,
    /// A struct with its fields.
    Struct(&'static [Field]),
    /// An enum with its variants.
    Enum(&'static [Variant]),
    /// The value of a constant that a type has as an argument: its lower half stands in the place of the size, its upper
    /// half in that of the alignment. See [`Type::constant`].
    Constant,
}

/// A [`Shape`] without what it carries, as metadata names it.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShapeKind {
    /// [`Shape::Opaque`]
    Opaque = 0,
    /// [`Shape::Reference`]
    Reference = 1,
    /// [`Shape::MutableReference`]
    MutableReference = 2,
    /// [`Shape::Slice`]
    Slice = 3,
    /// [`Shape::Tuple`]
    Tuple = 4,
    /// [`Shape::Array`]
    Array = 5,
    /// [`Shape::Struct`]
    Struct = 6,
    /// [`Shape::Enum`]
    Enum = 7,
    /// [`Shape::Constant`]
    Constant = 8,
}

impl ShapeKind {
    const ALL: [Self; 9] = [
        Self::Opaque,
        Self::Reference,
        Self::MutableReference,
        Self::Slice,
        Self::Tuple,
        Self::Array,
        Self::Struct,
        Self::Enum,
        Self::Constant,
    ];

    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

impl Shape {
    /// What stands for the shape in metadata.
    pub const fn kind(&self) -> ShapeKind {
        match self {
            Self::Opaque => ShapeKind::Opaque,
            Self::Reference => ShapeKind::Reference,
            Self::MutableReference => ShapeKind::MutableReference,
            Self::Slice => ShapeKind::Slice,
            Self::Tuple => ShapeKind::Tuple,
            Self::Array => ShapeKind::Array,
            Self::Struct(_) => ShapeKind::Struct,
            Self::Enum(_) => ShapeKind::Enum,
            Self::Constant => ShapeKind::Constant,
        }
    }
}

/// A field of a struct or of an enum's variant.
#[derive(Debug)]
pub struct Field {
    /// The field's name, or its position in a tuple struct.
    pub name: &'static str,
    /// Offset in bytes from the start of the struct; [`Field::NO_OFFSET`] in variants, whose layout the enum's size,
    /// alignment and compiler determine.
    pub offset: usize,
    /// The field's type.
    pub ty: &'static Type,
}

impl Field {
    /// The offset of fields whose place cannot be named in a constant.
    pub const NO_OFFSET: usize = usize::MAX;
}

/// A variant of an enum.
#[derive(Debug)]
pub struct Variant {
    /// The variant's name.
    pub name: &'static str,
    /// What tells the variant apart: the value that is given to it, or one more than that of the variant before. Without any
    /// that is given these are the variants' places, whatever the compiler stores.
    pub discriminant: i128,
    /// The variant's fields.
    pub fields: &'static [Field],
}

/// A function of an interface.
#[derive(Debug)]
pub struct Function {
    /// The function's name.
    pub name: &'static str,
    /// The parameters in order.
    pub parameters: &'static [Parameter],
    /// The return type.
    pub returns: &'static Type,
    /// Which lifetimes the references have that it takes and returns, and their bounds, in a form that does not depend on
    /// their names: `(&'0, &'1) -> &'0 where '0: '1`. Empty if it returns no reference: what is lent for a call alone
    /// may be lent for any time.
    pub lifetimes: &'static str,
}

/// A parameter of a function.
#[derive(Debug)]
pub struct Parameter {
    /// The parameter's name; not part of any fingerprint.
    pub name: &'static str,
    /// The parameter's type.
    pub ty: &'static Type,
}

impl Type {
    /// Describes a type that relib does not look into, such as a primitive or a collection of the standard library.
    pub const fn opaque<T>(path: &'static str, arguments: &'static [&'static Type]) -> Self {
        Self::new(path, size_of::<T>(), align_of::<T>(), arguments, Shape::Opaque)
    }

    /// Describes the value of a constant that a type has as an argument, extended to 128 bits if it is shorter.
    pub const fn constant(value: u128) -> Self {
        Self::new("constant", value as usize, (value >> 64) as usize, &[], Shape::Constant)
    }

    /// Describes a type from its parts.
    pub const fn new(
        path: &'static str,
        size: usize,
        align: usize,
        arguments: &'static [&'static Type],
        shape: Shape,
    ) -> Self {
        let mut hash =
            Hash::new().text(path).number(size as u64).number(align as u64).number(shape.kind() as u64);
        let mut i = 0;
        while i < arguments.len() {
            hash = hash.number(arguments[i].fingerprint);
            i += 1;
        }
        match &shape {
            Shape::Struct(fields) => hash = hash.fields(fields),
            Shape::Enum(variants) => {
                let mut i = 0;
                while i < variants.len() {
                    let variant = &variants[i];
                    let discriminant = variant.discriminant;
                    hash = hash
                        .text(variant.name)
                        .number(discriminant as u64)
                        .number((discriminant >> 64) as u64)
                        .fields(variant.fields);
                    i += 1;
                }
            }
            _ => {}
        }
        Self { path, size, align, arguments, shape, repr: "", fingerprint: hash.0 }
    }

    /// The same type with a `#[repr(...)]`.
    pub const fn with_repr(mut self, repr: &'static str) -> Self {
        self.repr = repr;
        self.fingerprint = Hash(self.fingerprint).text(repr).0;
        self
    }
}

impl Type {
    /// Covers what a serialized value depends on: fields, variants and their types by name and order, but neither where
    /// a struct or an enum is defined nor how it is laid out. Types that a former build had under another name have the
    /// same form.
    pub const fn form(&self) -> u64 {
        let mut hash = Hash::new().number(self.shape.kind() as u64);
        match &self.shape {
            Shape::Struct(fields) => return hash.forms(fields).0,
            Shape::Enum(variants) => {
                let mut i = 0;
                while i < variants.len() {
                    hash = hash.text(variants[i].name).forms(variants[i].fields);
                    i += 1;
                }
                return hash.0;
            }
            // The size tells arrays of different lengths apart, whose length is an argument of that "size".
            _ if self.arguments.is_empty() => hash = hash.text(self.path).number(self.size as u64),
            _ => hash = hash.text(self.path),
        }
        let mut i = 0;
        while i < self.arguments.len() {
            hash = hash.number(self.arguments[i].form());
            i += 1;
        }
        hash.0
    }
}

impl Function {
    /// Covers the name, the parameters' types, the return type and, if a reference is returned, the lifetimes.
    pub const fn fingerprint(&self) -> u64 {
        let mut hash = Hash::new().text(self.name).number(self.parameters.len() as u64);
        let mut i = 0;
        while i < self.parameters.len() {
            hash = hash.number(self.parameters[i].ty.fingerprint);
            i += 1;
        }
        hash.number(self.returns.fingerprint).text(self.lifetimes).0
    }
}

/// The hash of some bytes, as fingerprints use it.
pub const fn hash(bytes: &[u8]) -> u64 {
    Hash::new().number(bytes.len() as u64).bytes(bytes).0
}

/// The hash of all fingerprints: as FNV-1a, but by words of 64 bits instead of bytes, because it is computed by the
/// compiler's interpreter, which takes microseconds for each step. It guards against mistakes, not against forgery.
struct Hash(u64);

impl Hash {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// A multiplication carries differences upwards only, so the upper half is mixed into the lower one.
    const fn number(self, number: u64) -> Self {
        let product = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(product ^ product >> 32)
    }

    /// Of bytes whose number is hashed too: the last word is filled up with zeros.
    const fn bytes(mut self, mut bytes: &[u8]) -> Self {
        while let Some((word, rest)) = bytes.split_first_chunk::<8>() {
            self = self.number(u64::from_le_bytes(*word));
            bytes = rest;
        }
        let (mut last, mut i) = (0, bytes.len());
        while i > 0 {
            i -= 1;
            last = last << 8 | bytes[i] as u64;
        }
        self.number(last)
    }

    /// Hashes the length too, so that neighbouring texts cannot run into each other.
    const fn text(self, text: &str) -> Self {
        self.number(text.len() as u64).bytes(text.as_bytes())
    }

    const fn forms(mut self, fields: &[Field]) -> Self {
        self = self.number(fields.len() as u64);
        let mut i = 0;
        while i < fields.len() {
            self = self.text(fields[i].name).number(fields[i].ty.form());
            i += 1;
        }
        self
    }

    const fn fields(mut self, fields: &[Field]) -> Self {
        self = self.number(fields.len() as u64);
        let mut i = 0;
        while i < fields.len() {
            let field = &fields[i];
            self = self.text(field.name).number(field.offset as u64).number(field.ty.fingerprint);
            i += 1;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const U32: &Type = &Type::opaque::<u32>("u32", &[]);
    const U64: &Type = &Type::opaque::<u64>("u64", &[]);

    const fn struct_of(fields: &'static [Field]) -> Type {
        Type::new("crate::S", 16, 8, &[], Shape::Struct(fields))
    }

    #[test]
    fn fingerprint_sees_each_part() {
        let base = struct_of(const { &[Field { name: "a", offset: 0, ty: U32 }] });
        let renamed = struct_of(const { &[Field { name: "b", offset: 0, ty: U32 }] });
        let moved = struct_of(const { &[Field { name: "a", offset: 4, ty: U32 }] });
        let retyped = struct_of(const { &[Field { name: "a", offset: 0, ty: U64 }] });
        let grown = struct_of(
            const { &[Field { name: "a", offset: 0, ty: U32 }, Field { name: "b", offset: 8, ty: U64 }] },
        );
        let represented = struct_of(const { &[Field { name: "a", offset: 0, ty: U32 }] }).with_repr("C");
        let all = [&base, &renamed, &moved, &retyped, &grown, &represented].map(|ty| ty.fingerprint);
        for (i, one) in all.iter().enumerate() {
            for other in &all[i + 1..] {
                assert_ne!(one, other);
            }
        }
    }

    #[test]
    fn form_sees_what_is_serialized_and_nothing_else() {
        const fn named(path: &'static str, fields: &'static [Field]) -> Type {
            Type::new(path, 16, 8, &[], Shape::Struct(fields))
        }
        let base = named("v1::S", const { &[Field { name: "a", offset: 0, ty: U32 }] });
        let moved = named("v2::T", const { &[Field { name: "a", offset: 4, ty: U32 }] });
        let renamed = named("v1::S", const { &[Field { name: "b", offset: 0, ty: U32 }] });
        let retyped = named("v1::S", const { &[Field { name: "a", offset: 0, ty: U64 }] });
        assert_eq!(base.form(), moved.form());
        assert_ne!(base.form(), renamed.form());
        assert_ne!(base.form(), retyped.form());
    }

    #[test]
    fn each_bit_of_bytes_counts_and_so_does_their_number() {
        let mut bytes = [0; 21];
        let mut seen = [0; 172];
        seen[..4].copy_from_slice(&[hash(&bytes), hash(&bytes[..20]), hash(&[]), hash(&[0])]);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            seen[4 + bit] = hash(&bytes);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        seen.sort_unstable();
        assert!(seen.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn constants_differ_in_each_of_their_bits() {
        let values = [0, 1, 1 << 63, 1 << 64, (1 << 64) + 1, u128::MAX];
        let fingerprints = values.map(|value| Type::constant(value).fingerprint);
        for (index, one) in fingerprints.iter().enumerate() {
            assert!(!fingerprints[..index].contains(one), "{}", values[index]);
        }
    }

    #[test]
    fn function_fingerprint_ignores_parameter_names_only() {
        const fn function(
            name: &'static str,
            parameters: &'static [Parameter],
            returns: &'static Type,
        ) -> u64 {
            Function { name, parameters, returns, lifetimes: "" }.fingerprint()
        }
        let base = function("f", const { &[Parameter { name: "x", ty: U32 }] }, U64);
        let lent = Function {
            name: "f",
            parameters: const { &[Parameter { name: "x", ty: U32 }] },
            returns: U64,
            lifetimes: "(&'0) -> &'0",
        };
        assert_ne!(base, lent.fingerprint());
        assert_eq!(base, function("f", const { &[Parameter { name: "y", ty: U32 }] }, U64));
        assert_ne!(base, function("g", const { &[Parameter { name: "x", ty: U32 }] }, U64));
        assert_ne!(base, function("f", const { &[Parameter { name: "x", ty: U64 }] }, U64));
        assert_ne!(base, function("f", const { &[Parameter { name: "x", ty: U32 }] }, U32));
        assert_ne!(base, function("f", const { &[] }, U64));
    }
}
