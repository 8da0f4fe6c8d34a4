//! The states that the host keeps, and what it calls of the module.

use relib_interface::{StateMut, Transfer, interface};

/// Owned by the host: small, and copied in and out of each call.
#[derive(Debug, Default, Transfer)]
pub struct Score {
    pub points: u64,
    pub history: Vec<u64>,
}

/// In a heap of its own: as large as you like, and never copied.
#[derive(Debug, Default, Transfer)]
pub struct World {
    pub inhabitants: Vec<String>,
}

#[interface]
pub trait Exports {
    fn tick(score: &mut Score, world: StateMut<'_, World>) -> String;
}
