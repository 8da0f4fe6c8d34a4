//! Keeps state of its own over a reload, by giving it to the host before it is unloaded.

use std::sync::{Mutex, PoisonError};

use fixture_interface::reload::{ModuleStore, State, Stateful};

static OWN: Mutex<Option<Vec<u32>>> = Mutex::new(None);

/// The state; what the host has kept if this is the first use.
fn own<R>(body: impl FnOnce(&mut Vec<u32>) -> R) -> R {
    body(OWN.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(ModuleStore::restore))
}

#[relib_module::export]
impl Stateful for StatefulImpl {
    fn work(state: &mut State, generation: u32) {
        state.generations.push(generation);
        state.total += u64::from(generation);
        own(|own| own.push(generation * 10));
    }

    fn own() -> Vec<u32> {
        own(|own| own.clone())
    }
}

#[relib_module::export]
fn before_unload() {
    ModuleStore::save(own(std::mem::take));
}
