//! The heap of one state, which outlives the modules that change the state: who has blocks of it, and who changes its value.
//!
//! It must not know the value's type: whoever has the state says how its blocks are visited.

use std::ffi::c_void;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use super::allocation::{share, unshare};
use super::heap::Heap;
use crate::lock::lock;

/// The heap of one state.
pub(crate) struct StateHeap {
    pub(crate) heap: Heap,
    access: Mutex<Access>,
    /// Signalled when a scope is left.
    left: Condvar,
}

/// Who does what with a state's value.
#[derive(Default)]
struct Access {
    /// Number of scopes in which it is changed.
    scopes: usize,
    /// Where it is, until the state is dropped.
    value: Option<Value>,
}

/// Visits the blocks of the value in a cell, which nobody may change meanwhile.
pub(crate) type Visit = unsafe fn(cell: *const c_void, visit: &mut dyn FnMut(*const u8));

/// The value of a state, whatever its type.
struct Value {
    cell: *const c_void,
    visit: Visit,
}

// SAFETY: the cell is read only under the lock of its `Access`, when no scope is open.
unsafe impl Send for Value {}

/// Why a module cannot go that has changed a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// The state is being changed, by this module or another.
    InScope,
    /// So many blocks of the state's value are the module's.
    ModuleMemory(usize),
    /// So many blocks of the state's value are of the heaps of other states.
    OtherStates(usize),
}

impl StateHeap {
    /// A new one; `None` if there is no memory for it.
    pub(crate) fn new() -> Option<Arc<Self>> {
        let heap = Heap::new()?;
        share(heap);
        Some(Arc::new(Self { heap, access: Mutex::default(), left: Condvar::new() }))
    }

    /// Says where the state's value is, and how its blocks are visited.
    ///
    /// # Safety
    /// Until [`forget_value`](Self::forget_value) is called, `cell` must stay in place; and outside of scopes, the value
    /// must only be read. `visit` must visit the blocks of the value in this cell.
    pub(crate) unsafe fn set_value(&self, cell: *const c_void, visit: Visit) {
        lock(&self.access).value = Some(Value { cell, visit });
    }

    /// The state is gone. Modules may still have blocks of the heap.
    pub(crate) fn forget_value(&self) {
        lock(&self.access).value = None;
    }

    /// A scope begins in which the value is changed.
    pub(super) fn enter(&self) {
        lock(&self.access).scopes += 1;
    }

    /// A scope ends.
    pub(super) fn leave(&self) {
        lock(&self.access).scopes -= 1;
        self.left.notify_all();
    }

    /// Makes sure that no block of the state's value is the module's, by `is_of_module`, or of the heap of another one of
    /// `states`; waits for open scopes until `deadline`.
    pub(crate) fn refuse_memory(
        &self,
        is_of_module: impl Fn(*const u8) -> bool,
        states: &[Arc<Self>],
        deadline: Instant,
    ) -> Result<(), Holds> {
        let limit = deadline.saturating_duration_since(Instant::now());
        let (access, waited) = self
            .left
            .wait_timeout_while(lock(&self.access), limit, |access| access.scopes > 0)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() && access.scopes > 0 {
            return Err(Holds::InScope);
        }
        let Some(value) = &access.value else { return Ok(()) };
        let is_of_other_state = |block: *const u8| {
            let mut others = states.iter().filter(|state| !std::ptr::eq(&raw const ***state, self));
            others.any(|state| state.heap.owns(block.cast()))
        };
        let (mut of_module, mut of_other_states) = (0, 0);
        let mut count = |block: *const u8| {
            if is_of_module(block) {
                of_module += 1;
            } else if is_of_other_state(block) {
                of_other_states += 1;
            }
        };
        // SAFETY: the cell is there until the state takes it away under this lock, and no scope is open; outside of
        // scopes the value is only read, says who has set it.
        unsafe { (value.visit)(value.cell, &mut count) };
        match (of_module, of_other_states) {
            (0, 0) => Ok(()),
            (0, blocks) => Err(Holds::OtherStates(blocks)),
            (blocks, _) => Err(Holds::ModuleMemory(blocks)),
        }
    }
}

impl Drop for StateHeap {
    fn drop(&mut self) {
        unshare(self.heap);
        // SAFETY: the state and all modules that have changed it are gone, and nobody else has blocks of the heap.
        unsafe { self.heap.destroy() };
    }
}

#[cfg(test)]
mod tests {
    use super::super::allocation::is_shared;
    use super::*;

    #[test]
    fn any_module_may_free_the_blocks_until_the_heap_is_gone() {
        let state = StateHeap::new().unwrap();
        let table = state.heap.table();
        // SAFETY: the function belongs to the heap.
        let block = unsafe { (table.allocate)(table.heap, 100) };
        assert!(is_shared(block));
        drop(state);
        assert!(!is_shared(block));
    }
}
