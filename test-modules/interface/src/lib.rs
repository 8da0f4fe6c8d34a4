//! What the scenarios call of their fixtures, one module for each feature. Hosts (`tests/`) and fixtures depend on it.

pub mod backtraces;
pub mod ledger;
pub mod memory;
pub mod reload;
pub mod unload;
