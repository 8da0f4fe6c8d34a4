//! What the scenarios call of their fixtures, one module for each feature. Hosts (`tests/`) and fixtures depend on it.

pub mod backtraces;
pub mod exports_imports;
pub mod ledger;
pub mod load;
pub mod memory;
pub mod mismatch;
pub mod panics;
pub mod reload;
pub mod thread_locals;
pub mod threads;
pub mod unload;
