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

/// The value of one command, which was another's.
pub const FIRST: u8 = 2;
/// The value of the other.
pub const SECOND: u8 = 1;

/// Its values have changed, and the texts by which they are given do not.
#[derive(Clone, Debug, PartialEq, Transfer)]
#[repr(u8)]
pub enum Command {
    /// Keeps something.
    Keep(u8) = FIRST,
    /// Deletes it.
    Delete(u8) = SECOND,
}

/// A type inside a parameter has got other values.
#[interface]
pub trait Values {
    /// Reads the same in both versions.
    fn obey(command: &Command) -> u8;
}

/// A constant that is an argument of a type, which has changed in its upper half only.
pub const KIND: u128 = 1 + (1 << 64);

/// Has a constant.
#[derive(Clone, Debug, PartialEq, Transfer)]
pub struct Tagged<const TAG: u128> {
    /// The same in both versions.
    pub value: u64,
}

/// A constant inside a parameter has changed.
#[interface]
pub trait Constants {
    /// Reads the same in both versions.
    fn untag(tagged: Tagged<KIND>) -> u64;
}

/// What is returned lives longer than in the other version.
#[interface(imports)]
pub trait Names {
    /// Reads the same in both versions, but for the lifetime.
    fn name(text: &str) -> &'static str;
}
