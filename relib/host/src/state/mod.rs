//! State that outlives builds of a module: a value in a heap of its own, or bytes that one build hands to the next.
//!
//! It must not know modules: it is told who enters a scope, and given what a module has saved.

mod in_heap;
mod saved;

pub use in_heap::State;
pub use saved::{HandOver, SavedState, StateError};
