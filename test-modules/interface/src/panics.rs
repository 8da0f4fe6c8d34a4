//! Interfaces of the fixtures for "Panic handling".

use relib_interface::interface;

/// Panics in every way.
#[interface]
pub trait Panics {
    /// Returns its argument.
    fn echo(number: u32) -> u32;
    /// Panics with this message.
    fn panic_with(message: &str) -> String;
    /// Panics with a payload that is a number.
    fn panic_with_number();
    /// Panics with a payload that panics when it is dropped.
    fn panic_with_bomb();
    /// Panics and catches that itself; returns the message.
    fn catch(message: &str) -> String;
    /// Starts a thread that panics and joins it; returns the message.
    fn panic_in_thread(message: &str) -> String;
    /// Panics in a destructor that runs because of a panic.
    fn panic_twice();
}

/// Has a `main` that panics, and a `before_unload` that does so if it is told to.
#[interface]
pub trait Unwilling {
    /// Whether `before_unload` panics.
    fn refuse(refuse: bool);
}

/// Calls imports that panic.
#[interface]
pub trait Caller {
    /// Returns its argument.
    fn echo(number: u32) -> u32;
    /// Panics.
    fn fail(message: &str);
    /// Calls [`Host::fail`] and lets its panic pass.
    fn call_failing(message: &str) -> String;
    /// Calls [`Host::fail`] and catches its panic; returns the message.
    fn catch_failing(message: &str) -> String;
    /// Calls [`Host::call_fail`] and returns what it does.
    fn call_nested(message: &str) -> String;
    /// Calls [`Host::pass_fail`], which panics.
    fn pass_nested(message: &str) -> String;
}

/// What the fixture of [`Caller`] imports.
#[interface(imports)]
pub trait Host {
    /// Panics with this message.
    fn fail(message: &str) -> String;
    /// Calls [`Caller::fail`] and returns what became of it.
    fn call_fail(message: &str) -> String;
    /// Calls [`Caller::fail`] and panics because that did.
    fn pass_fail(message: &str) -> String;
}
