//! Interfaces of the fixtures for "Load checks".

use relib_interface::interface;

/// Counts in a static.
#[interface]
pub trait Counter {
    /// One more than the last time.
    fn next() -> u64;
}

/// Is linked with another library.
#[interface]
pub trait Linked {
    /// What the function of the other library returns.
    fn answer() -> u64;
}
