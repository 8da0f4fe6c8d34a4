//! Interfaces of the fixtures for "Reload".

use relib_interface::{Transfer, interface};

/// Tells builds of a module apart.
#[interface]
pub trait Version {
    /// A number that is in the source.
    fn version() -> u32;
}

/// What the host keeps while modules come and go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Transfer)]
pub struct State {
    /// The generations that have changed it.
    pub generations: Vec<u32>,
    /// A total.
    pub total: u64,
}

/// Works on state that outlives it.
#[interface]
pub trait Stateful {
    /// Adds to the host's state and to that of the module's own.
    fn work(state: &mut State, generation: u32);
    /// What is in the module's own state.
    fn own() -> Vec<u32>;
}

/// Where the module's own state is while there is no module.
#[interface(imports)]
pub trait Store {
    /// Keeps the state.
    fn save(state: Vec<u32>);
    /// Gives back what was kept last.
    fn restore() -> Vec<u32>;
}

/// Does a bit of everything.
#[interface]
pub trait Mixed {
    /// Allocates, forgets, maps, makes keys, opens and closes descriptors, starts and joins threads, sets thread-locals
    /// and takes a backtrace; `seed` varies the amounts. Returns a checksum.
    fn work(seed: u64) -> u64;
    /// Panics, with a `Drop` on the way.
    fn panic(seed: u64);
}
