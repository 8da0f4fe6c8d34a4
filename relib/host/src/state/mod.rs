//! State that outlives builds of a module.

pub(crate) mod in_heap;
pub(crate) mod saved;
