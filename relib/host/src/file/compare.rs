//! Whether two sides have the same interface, and which function of the one is which of the other.
//!
//! Only names and fingerprints are compared; a difference is explained by `explain`.

use std::borrow::Cow;
use std::collections::HashMap;

use relib_interface::interface::Interface;

use super::description::InterfaceDescription;
use super::explain::{InterfaceProblem, Sides, first_problem};
use super::records::{ExportDescription, ModuleDescription, ModuleInterface};

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

impl ModuleDescription {
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
