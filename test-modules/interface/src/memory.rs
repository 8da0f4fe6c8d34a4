//! Interfaces of the fixtures for "Memory deallocation".

use relib_interface::{StateMut, interface};

/// Leaks blocks.
#[interface]
pub trait Leak {
    /// Allocates `blocks` blocks of `bytes` bytes and forgets them.
    fn leak(blocks: usize, bytes: usize);
}

/// Values that live as long as the module.
#[interface]
pub trait Statics {
    /// Puts boxes of these bytes into a `static mut`, a `OnceLock`, a `LazyLock` and a `thread_local!` without
    /// destructor.
    fn fill(bytes: usize);
}

/// Blocks that wander between threads.
#[interface]
pub trait SharedBlocks {
    /// Allocates blocks and keeps them in a list.
    fn allocate(blocks: usize, bytes: usize);
    /// Frees this many of the list.
    fn free(blocks: usize);
    /// Has threads each do what `allocate` and `free` do, and joins them.
    fn exchange(threads: usize, allocate: usize, free: usize, bytes: usize);
}

/// All kinds of requests to an allocator.
#[interface]
pub trait Layouts {
    /// Grows vectors, and allocates, resizes and frees blocks of many sizes and alignments; leaves some of them.
    ///
    /// Returns what was wrong: a block with another alignment or other contents.
    fn exercise() -> Vec<String>;
}

/// A module with a constructor.
#[interface]
pub trait Constructed {
    /// What the constructor made, changed since.
    fn lines() -> Vec<String>;
    /// Adds a line, which makes the memory move that the constructor allocated.
    fn add(line: &str);
    /// Drops all that the constructor made.
    fn clear();
}

/// A global allocator of the module's own.
#[interface]
pub trait CountingAllocator {
    /// Leaks blocks; returns by how much the allocator's count has grown.
    fn leak(blocks: usize, bytes: usize) -> usize;
}

/// Frees what it is given.
#[interface]
pub trait ForeignBlocks {
    /// Allocates a block of this size, and returns its address.
    fn allocate(bytes: usize) -> usize;
    /// Frees a block of this size.
    fn free(address: usize, bytes: usize);
    /// Resizes a block.
    fn resize(address: usize, bytes: usize, new_bytes: usize);
}

/// C code that allocates by `malloc`.
#[interface]
pub trait CLibrary {
    /// Leaks blocks by `malloc`, `calloc`, `realloc`, `posix_memalign` and `aligned_alloc`, as many by each.
    fn leak(blocks: usize, bytes: usize);
    /// Frees and resizes blocks that functions of the C library have allocated, and has one of its own looked at by
    /// `malloc_usable_size`; returns the number of surprises.
    fn mix() -> u32;
}

/// Changes a state.
#[interface]
pub trait Changes {
    /// Adds a number.
    fn add(state: StateMut<'_, Vec<u64>>, number: u64);
}
