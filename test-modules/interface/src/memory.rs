//! Interfaces of the fixtures for "Memory deallocation".

use relib_interface::interface;

/// Leaks blocks.
#[interface]
pub trait Leak {
    /// Allocates `blocks` blocks of `bytes` bytes and forgets them.
    fn leak(blocks: usize, bytes: usize);
}
