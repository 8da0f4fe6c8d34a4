//! How a module enters and leaves the scopes in which it changes a state.

use std::ffi::c_void;
use std::sync::Arc;

use relib_abi::entry::{Scope, ScopeTable};

use super::caller::called_by_modules;
use crate::owned::allocation::{enter_scope, leave_scope};
use crate::owned::state_heap::StateHeap;

/// The table for [`HostContext::scopes`](relib_abi::entry::HostContext::scopes).
pub(crate) fn table() -> ScopeTable {
    ScopeTable { enter, leave }
}

called_by_modules! {
    enter(module, state: *const c_void, scope: *mut Scope) -> bool {
        if !state.is_null() && module.has_foreign_allocator() {
            return false;
        }
        let state = (!state.is_null()).then(|| {
            let state = state.cast::<StateHeap>();
            // SAFETY: the handle is that of a state that is lent to the module, so its `Arc` is alive; the count is
            // raised for the new one.
            let state = unsafe {
                Arc::increment_strong_count(state);
                Arc::from_raw(state)
            };
            let heap = state.heap;
            state.enter();
            module.keep_state(state);
            heap
        });
        // SAFETY: the module keeps the scope in place and leaves it in order.
        unsafe { enter_scope(scope, module.heap, state) };
        true
    }

    leave(module, scope: *const Scope) {
        // SAFETY: the module leaves the scope that it entered last.
        let heap = unsafe { leave_scope(scope) };
        if let Some(state) = module.states().into_iter().find(|state| Some(state.heap) == heap) {
            state.leave();
        }
    }
}
