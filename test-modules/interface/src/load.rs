//! Interfaces of the fixtures for "Load checks".

use relib_interface::interface;

/// Counts in a static.
#[interface]
pub trait Counter {
    /// One more than the last time.
    fn next() -> u64;
}
