//! Interfaces that `../interface` declares differently.

use relib_interface::{Transfer, interface};

/// Parameters and return type have changed.
#[interface]
pub trait Signature {
    /// The same in both versions.
    fn name() -> String;
    /// Its numbers have become larger.
    fn scale(value: u64, factor: u32) -> u64;
}

/// A function is gone.
#[interface]
pub trait Missing {
    /// The same in both versions.
    fn first() -> String;
}

/// A field in it has changed its type.
#[derive(Clone, Debug, PartialEq, Transfer)]
pub struct Player {
    /// The same in both versions.
    pub name: String,
    /// Has become signed.
    pub health: i32,
}

/// Contains the type that has changed.
#[derive(Clone, Debug, PartialEq, Transfer)]
pub struct Team {
    /// Its fingerprint has changed with its parts.
    pub players: Vec<Player>,
}

/// A type inside a parameter has changed.
#[interface]
pub trait Field {
    /// Reads the same in both versions.
    fn strongest(team: &Team) -> Option<String>;
}

/// Has got a representation.
#[derive(Clone, Debug, PartialEq, Transfer)]
#[repr(u8)]
pub enum Event {
    /// The same in both versions.
    Hit(u32),
    /// The same in both versions.
    End,
}

/// A type inside a parameter is laid out in another way.
#[interface]
pub trait Layout {
    /// Reads the same in both versions.
    fn damage(event: &Event) -> u32;
}

/// Functions were added and have changed places.
#[interface]
pub trait Superset {
    /// The second in the other version.
    fn beta() -> String;
    /// Only here.
    fn gamma() -> String;
    /// The first in the other version.
    fn alpha() -> String;
}

/// What the module imports has changed.
#[interface(imports)]
pub trait Imports {
    /// Has got a level.
    fn log(level: u8, line: &str);
}
