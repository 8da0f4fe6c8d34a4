//! Interfaces that `../interface-v2` declares differently: what this crate looked like before somebody changed it.

use relib_interface::{Transfer, interface};

/// Parameters and return type change.
#[interface]
pub trait Signature {
    /// The same in both versions.
    fn name() -> String;
    /// Its numbers become larger.
    fn scale(value: u32, factor: u32) -> u32;
}

/// A function goes.
#[interface]
pub trait Missing {
    /// The same in both versions.
    fn first() -> String;
    /// Only here.
    fn second(text: &str) -> bool;
}

/// A field in it changes its type.
#[derive(Clone, Debug, PartialEq, Transfer)]
pub struct Player {
    /// The same in both versions.
    pub name: String,
    /// Becomes signed: size and alignment stay as they are.
    pub health: u32,
}

/// Contains the type that changes.
#[derive(Clone, Debug, PartialEq, Transfer)]
pub struct Team {
    /// Its fingerprint changes with its parts.
    pub players: Vec<Player>,
}

/// A type inside a parameter changes.
#[interface]
pub trait Field {
    /// Reads the same in both versions.
    fn strongest(team: &Team) -> Option<String>;
}

/// Gets a representation.
#[derive(Clone, Debug, PartialEq, Transfer)]
pub enum Event {
    /// The same in both versions.
    Hit(u32),
    /// The same in both versions.
    End,
}

/// A type inside a parameter becomes one of another layout.
#[interface]
pub trait Layout {
    /// Reads the same in both versions.
    fn damage(event: &Event) -> u32;
}

/// Functions are added and change places.
#[interface]
pub trait Superset {
    /// The third in the other version.
    fn alpha() -> String;
    /// The first in the other version.
    fn beta() -> String;
}

/// What the module imports has changed.
#[interface(imports)]
pub trait Imports {
    /// Takes more in the other version.
    fn log(line: &str);
}

/// The value of one command, which the other version gives to another one.
pub const FIRST: u8 = 1;
/// The value of the other.
pub const SECOND: u8 = 2;

/// Its values change, and the texts by which they are given do not.
#[derive(Clone, Debug, PartialEq, Transfer)]
#[repr(u8)]
pub enum Command {
    /// Keeps something.
    Keep(u8) = FIRST,
    /// Deletes it.
    Delete(u8) = SECOND,
}

/// A type inside a parameter gets other values.
#[interface]
pub trait Values {
    /// Reads the same in both versions.
    fn obey(command: &Command) -> u8;
}

/// A constant that is an argument of a type, and changes in its upper half only.
pub const KIND: u128 = 1;

/// Has a constant.
#[derive(Clone, Debug, PartialEq, Transfer)]
pub struct Tagged<const TAG: u128> {
    /// The same in both versions.
    pub value: u64,
}

/// A constant inside a parameter changes.
#[interface]
pub trait Constants {
    /// Reads the same in both versions.
    fn untag(tagged: Tagged<KIND>) -> u64;
}

/// What is returned lives longer in the other version.
#[interface(imports)]
pub trait Names {
    /// Reads the same in both versions, but for the lifetime.
    fn name(text: &str) -> &str;
}
