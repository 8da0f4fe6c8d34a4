//! What the host and the module call of each other.

use relib_interface::interface;

/// What the module offers.
#[interface]
pub trait Exports {
    /// Splits a text by a C library, which reports each word as it finds it. Returns the length of the longest word.
    fn split(text: &str) -> usize;
}

/// What the host offers.
#[interface(imports)]
pub trait Imports {
    /// A word was found.
    fn found(word: &str);
}
