//! The host gives nothing to the module.

pub trait Imports {}
