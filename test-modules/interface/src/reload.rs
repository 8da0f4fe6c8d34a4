//! Interfaces of the fixtures for "Reload".

use std::collections::BTreeMap;

use relib_interface::{StateMut, Transfer, interface};

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

/// Remembers what it was told, in a state of its own.
#[interface]
pub trait Talker {
    /// Remembers a word; returns all that it remembers.
    fn say(word: &str) -> String;
}

/// State that lies in a heap of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Transfer)]
pub struct World {
    /// A list.
    pub names: Vec<String>,
    /// A tree.
    pub places: BTreeMap<String, Vec<u64>>,
    /// A number.
    pub ticks: u64,
}

/// Works on a [`World`].
#[interface]
pub trait Worlds {
    /// Adds a name; makes the world if there is none. Returns all names.
    fn tick(world: StateMut<'_, World>, name: &str) -> Vec<String>;
    /// The world in words.
    fn describe(world: &World) -> String;
    /// Adds a name and panics.
    fn panic_midway(world: StateMut<'_, World>);
    /// Why a thread could not be started while the world is being changed.
    fn start_thread_inside(world: StateMut<'_, World>) -> Option<String>;
    /// Puts lines into a static of the module while the world is being changed.
    fn keep(world: StateMut<'_, World>);
    /// Moves a name from a static of the module into the world, with its memory.
    fn give_own(world: StateMut<'_, World>, name: &str);
    /// Moves all names of the world into a static of the module, with their memory.
    fn take_names(world: StateMut<'_, World>);
    /// Moves the names that were taken into the world.
    fn put_names(world: StateMut<'_, World>);
    /// Moves a tree that has been emptied from a static of the module into the world, with its memory.
    fn give_emptied(world: StateMut<'_, World>);
    /// Makes the world anew, as a copy.
    fn renew(world: StateMut<'_, World>);
    /// Counts the lines of [`Worlds::keep`].
    fn kept() -> usize;
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
