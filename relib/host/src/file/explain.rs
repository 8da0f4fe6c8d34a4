//! How two descriptions differ, in words: the first difference, as far inside as there is one.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;

use relib_abi::schema::{Field, Type};

use super::description::{
    FieldDescription, FunctionDescription, InterfaceDescription, ShapeDescription, TypeDescription,
    VariantDescription,
};

/// Which of the two sides asks for functions and which offers them, in words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sides {
    /// The side that calls: "the host" or "the module".
    pub(super) caller: &'static str,
    /// The side that implements.
    pub(super) implementor: &'static str,
}

/// That a function returns another type than is asked for, in words.
#[derive(Debug)]
pub(crate) struct OtherType {
    /// The type that is asked for.
    pub(crate) asked: String,
    /// The type that the function returns.
    pub(crate) returns: String,
    /// The first difference inside the types, if their names read alike.
    pub(crate) difference: Option<String>,
}

impl InterfaceDescription {
    /// Makes sure that the only function, which is a module's, returns `asked`, which is a type of this program's.
    pub(crate) fn refuse_other_type(&self, asked: &'static Type) -> Result<(), OtherType> {
        let returns = self.returned();
        if returns == asked.fingerprint {
            return Ok(());
        }
        let host = Self::of_main(asked);
        let sides = Sides { caller: "the host", implementor: "the module" };
        let comparison = Comparison::new(&host, self, sides);
        Err(OtherType {
            asked: host.type_name(asked.fingerprint),
            returns: self.type_name(returns),
            difference: comparison.of_types(asked.fingerprint, returns, 16),
        })
    }
}

/// How the state that `old` saves differs from the one that `new` restores, if their names read alike.
pub(crate) fn state_difference(old: &InterfaceDescription, new: &InterfaceDescription) -> Option<String> {
    let sides = Sides { caller: "the old module", implementor: "the new one" };
    Comparison::new(old, new, sides).of_types(old.returned(), new.returned(), 16)
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
pub(super) fn first_problem(
    caller: &InterfaceDescription,
    implementor: &InterfaceDescription,
    sides: Sides,
) -> InterfaceProblem {
    let offered = by_name(&implementor.functions, |function| &function.name);
    for expected in &caller.functions {
        let Some((_, found)) = offered.get(expected.name.as_str()) else {
            return InterfaceProblem::MissingFunction {
                implementor: sides.implementor,
                signature: caller.signature(expected),
            };
        };
        if found.fingerprint != expected.fingerprint {
            let comparison = Comparison::new(caller, implementor, sides);
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

/// The first of each name, with its place.
fn by_name<'a, T>(list: &'a [T], name: impl Fn(&'a T) -> &'a String) -> HashMap<&'a str, (usize, &'a T)> {
    let mut map = HashMap::with_capacity(list.len());
    for (place, item) in list.iter().enumerate() {
        map.entry(name(item).as_str()).or_insert((place, item));
    }
    map
}

/// Looks for the innermost difference between two descriptions.
struct Comparison<'a> {
    caller: &'a InterfaceDescription,
    implementor: &'a InterfaceDescription,
    sides: Sides,
    /// How many pairs of types may still be looked at. The descriptions are read from a file that is not to be trusted, and
    /// one of a type that contains itself many times has no end.
    left: Cell<usize>,
}

/// More pairs of types than a signature that people write leads to.
const MOST_COMPARED: usize = 1000;

impl<'a> Comparison<'a> {
    fn new(caller: &'a InterfaceDescription, implementor: &'a InterfaceDescription, sides: Sides) -> Self {
        Self { caller, implementor, sides, left: Cell::new(MOST_COMPARED) }
    }

    fn of_functions(&self, expected: &FunctionDescription, found: &FunctionDescription) -> Option<String> {
        let pairs = expected.parameters.iter().zip(&found.parameters).map(|((_, a), (_, b))| (*a, *b));
        let mut pairs = pairs.chain([(expected.returns, found.returns)]);
        let of_lifetimes = || {
            let Sides { caller, implementor } = self.sides;
            let same_types =
                expected.parameters.iter().map(|(_, ty)| ty).eq(found.parameters.iter().map(|(_, ty)| ty))
                    && expected.returns == found.returns;
            (same_types && expected.lifetimes != found.lifetimes).then(|| {
                format!(
                    "its lifetimes are `{}` in {caller}, `{}` in {implementor}",
                    expected.lifetimes, found.lifetimes
                )
            })
        };
        pairs.find_map(|(a, b)| self.of_types(a, b, 16)).or_else(of_lifetimes)
    }

    /// The difference inside two types that have the same name; `None` if the names say it all.
    fn of_types(&self, expected: u64, found: u64, depth: usize) -> Option<String> {
        let depth = depth.checked_sub(1)?;
        if expected == found {
            return None;
        }
        self.left.set(self.left.get().checked_sub(1)?);
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
        let by_name = by_name(theirs, |variant| &variant.name);
        for (index, variant) in ours.iter().enumerate() {
            let owner = format!("variant `{}` of `{path}`", variant.name);
            let Some((place, other)) = by_name.get(variant.name.as_str()).copied() else {
                return Some(format!("{owner} is missing in {implementor}"));
            };
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
        let [our_names, their_names] = [ours, theirs].map(|fields| by_name(fields, |field| &field.name));
        for field in ours {
            let subject = format!("field `{}` of {owner}", field.name);
            let Some((_, other)) = their_names.get(field.name.as_str()) else {
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
        if let Some(extra) = theirs.iter().find(|other| !our_names.contains_key(other.name.as_str())) {
            return Some(format!("field `{}` of {owner} is missing in {caller}", extra.name));
        }
        // Offsets come last, because each of the differences above moves the fields that follow.
        let (field, other) = ours.iter().find_map(|field| {
            let (_, other) = their_names.get(field.name.as_str())?;
            (field.offset != other.offset && field.offset != Field::NO_OFFSET as u64)
                .then_some((field, other))
        })?;
        Some(format!(
            "field `{}` of {owner} is at offset {} in {caller}, at offset {} in {implementor}",
            field.name, field.offset, other.offset
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The payload of an interface whose only function takes a type, which is described by what `arguments` says.
    fn payload(fingerprint: u64, ty: u64, arguments: &[u64]) -> Vec<u8> {
        let text = |text: &str| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
        let number = |number: usize| (number as u32).to_le_bytes().to_vec();
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        [
            text("Exports"),
            number(1),
            words(&[fingerprint]),
            text("f"),
            number(1),
            text("value"),
            words(&[ty, ty]),
            text(""),
            number(1),
            words(&[ty]),
            text("T"),
            words(&[8, 8]),
            number(arguments.len()),
            words(arguments),
            text(""),
            vec![0],
            number(0),
        ]
        .concat()
    }

    #[test]
    fn types_that_contain_themselves_many_times_are_explained_at_once() {
        let [one, other] =
            [1, 2].map(|ty| InterfaceDescription::parse(&payload(ty, ty, &[ty; 300])).expect("it is whole"));
        let sides = Sides { caller: "the host", implementor: "the module" };
        let problem = first_problem(&one, &other, sides);
        let InterfaceProblem::Signature { expected, found, .. } = &problem else { panic!("{problem}") };
        assert_eq!(expected, found);
        assert!(expected.starts_with("fn f(value: T<T<") && expected.len() < 10_000, "{expected}");
        assert!(one.user_types().is_empty());
    }
}
