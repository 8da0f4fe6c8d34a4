//! What host and module call of each other, and the state that both work on. Both are built again when this changes.

use relib_interface::{StateMut, Transfer, interface};

/// The state: it belongs to the host and outlives each build of the module.
#[derive(Debug, Default, Transfer)]
pub struct World {
    pub ticks: u64,
    pub history: Vec<String>,
}

/// What the module implements and the host calls.
#[interface]
pub trait Exports {
    /// Changes the world, and makes it the first time.
    fn step(world: StateMut<'_, World>);
    /// Looks at the world.
    fn describe(world: &World) -> String;
}
