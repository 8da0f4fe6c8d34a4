//! What a module reaches through the opaque pointer of its context: its heap, its threads, its thread-locals, its ledger.
//!
//! The functions that it calls by that pointer are in `calls`. Nothing here knows how a system call is made.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::heap::Heap;
use super::ledger::Ledger;
use super::state_heap::StateHeap;
use super::threads::Threads;
use crate::lock::lock;

/// The host's side of one module.
pub(crate) struct Runtime {
    /// Destroyed by the unload; leaked if there is none.
    pub(crate) heap: Heap,
    pub(crate) threads: Arc<Threads>,
    pub(crate) ledger: Mutex<Ledger>,
    /// The heaps of states that the module has changed: it may have blocks of them.
    states: Mutex<Vec<Arc<StateHeap>>>,
    /// The process that the module was loaded in.
    process: u32,
    /// Whether the module's global allocator takes its memory from somewhere else than the heap.
    foreign_allocator: AtomicBool,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}

impl Runtime {
    pub(crate) fn new(heap: Heap) -> Self {
        Self {
            heap,
            threads: Arc::default(),
            ledger: Mutex::default(),
            states: Mutex::default(),
            process: std::process::id(),
            foreign_allocator: AtomicBool::new(false),
        }
    }

    /// Notes that the module's global allocator takes its memory from somewhere else than the heap.
    pub(crate) fn note_foreign_allocator(&self) {
        self.foreign_allocator.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_foreign_allocator(&self) -> bool {
        self.foreign_allocator.load(Ordering::Relaxed)
    }

    /// Keeps the heap of a state until the module is gone.
    pub(crate) fn keep_state(&self, state: Arc<StateHeap>) {
        let mut states = lock(&self.states);
        if !states.iter().any(|known| Arc::ptr_eq(known, &state)) {
            // Also when the state is dropped, the module's statics may have blocks of its heap.
            states.push(state);
        }
    }

    /// The heaps of the states that the module has changed.
    pub(crate) fn states(&self) -> Vec<Arc<StateHeap>> {
        lock(&self.states).clone()
    }

    /// Whether a block is of the module's heap, or of that of a state that it has changed.
    pub(crate) fn owns(&self, block: *const c_void) -> bool {
        self.heap.owns(block) || lock(&self.states).iter().any(|state| state.heap.owns(block))
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// The ledger, for what the module does now; `None` in a process that was forked since the module was loaded.
    ///
    /// What such a process opens and closes is its own. And before it calls `exec`, as in `std::process::Command`, it
    /// must wait for no lock, which a thread may hold that exists in the parent only.
    pub(crate) fn ledger_of_this_process(&self) -> Option<MutexGuard<'_, Ledger>> {
        (self.process == std::process::id()).then(|| self.ledger())
    }
}
