//! The world of the game, and what the game calls of its rules.

use relib_interface::{Transfer, interface};

/// The game keeps it while rules come and go. It owns no memory, so that the rules change it in place.
#[derive(Debug, Transfer)]
pub struct World {
    /// Columns and rows of the field.
    pub size: (u16, u16),
    /// Where the ball is, in columns and rows.
    pub ball: (f32, f32),
    /// Where it goes, in columns and rows per second.
    pub speed: (f32, f32),
    /// How often it has met a wall.
    pub bounces: u32,
}

/// The rules of the game.
#[interface]
pub trait Rules {
    /// Moves the world on by some seconds.
    fn tick(world: &mut World, seconds: f32);

    /// The rows of the field.
    fn draw(world: &World) -> Vec<String>;
}
