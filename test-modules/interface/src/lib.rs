//! What the scenarios call of their fixtures, one module for each feature. Hosts (`tests/`) and fixtures depend on it.

pub mod memory;
pub mod thread_locals;
pub mod threads;
