//! What the host keeps for one module while it is loaded.

pub(crate) mod calls;
pub(crate) mod early;
pub(crate) mod heap;
pub(crate) mod ledger;
pub(crate) mod panics;
pub(crate) mod runtime;
pub(crate) mod threads;
