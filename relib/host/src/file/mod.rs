//! What a file says, before anything of it runs: whether it is a module, what built it, what it offers and asks for, and how
//! that differs from what somebody else has.
//!
//! It must not know how a module is mapped, connected or called, nor what is kept for one that is: its error only has the
//! names of what can fail there, because a load has one error from the path to the module.

mod build;
mod compare;
mod description;
mod error;
mod explain;
mod inspect;
mod known;
mod open;
mod reader;
mod records;

pub(crate) use build::check_build;
pub(crate) use compare::{Side, find_import};
pub(crate) use description::InterfaceDescription;
pub(crate) use explain::{OtherType, state_difference};
pub(crate) use known::Origin;
pub(crate) use open::{open, verify};
pub(crate) use records::ModuleDescription;

pub use build::Build;
pub use description::TypeInfo;
pub use error::{BuildPart, Holder, LoadError};
pub use explain::InterfaceProblem;
pub use inspect::{
    FileFormat, Fit, HostInspection, InspectHostError, Inspection, InterfaceInfo, inspect, inspect_host,
};
