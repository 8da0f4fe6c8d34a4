//! What every side of the comparison does: the host, and the module of each peer, each with its own allocator.
//!
//! Functions that take time measure it themselves, in nanoseconds, so that the call into a module does not count.

use std::hint::black_box;
use std::time::Instant;

/// Threads of [`pairs_on_threads`].
pub const THREADS: u64 = 4;

/// Adds.
#[inline]
pub fn add(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

/// Makes a text of a text.
#[inline]
pub fn text(text: &str) -> String {
    text.to_uppercase()
}

fn size(i: u64) -> usize {
    16 + (i & 255) as usize
}

/// Allocates and frees one block after the other.
pub fn pairs(count: u64) -> u64 {
    let start = Instant::now();
    for i in 0..count {
        drop(black_box(Vec::<u8>::with_capacity(size(i))));
    }
    elapsed(start)
}

/// Allocates and frees `count` blocks, of which 1000 are alive at a time, in another order than that of allocation.
pub fn shuffled(count: u64) -> u64 {
    const LIVE: usize = 1000;
    let mut blocks: Vec<Vec<u8>> = (0..LIVE).map(|_| Vec::new()).collect();
    let start = Instant::now();
    for round in 0..count / LIVE as u64 {
        for (i, block) in blocks.iter_mut().enumerate() {
            *block = Vec::with_capacity(size(i as u64 * 7 + round));
        }
        for i in 0..LIVE {
            // 37 and 1000 have no common factor, so that each block is met once.
            blocks[i * 37 % LIVE] = Vec::new();
        }
    }
    elapsed(start)
}

/// [`pairs`] on [`THREADS`] threads at once; `count` is for each. The start of the threads counts.
pub fn pairs_on_threads(count: u64) -> u64 {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| pairs(count));
        }
    });
    elapsed(start)
}

/// Allocates blocks, writes to each, and leaks them.
pub fn leak(count: u64) -> u64 {
    let start = Instant::now();
    for i in 0..count {
        let mut block = Vec::<u8>::with_capacity(size(i));
        block.push(1);
        std::mem::forget(black_box(block));
    }
    elapsed(start)
}

fn elapsed(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// A text in each library that says which version of it this is: the last two bytes are the number. The benchmark
/// changes them in a copy of the file, to have a new build without a compiler.
pub const VERSION: [u8; 16] = *b"bench-version-01";

/// The number in a [`VERSION`] that stands in the library that asks.
pub fn version(text: &'static [u8; 16]) -> u64 {
    // SAFETY: a reference can be read. Volatile, because the compiler must not know what it will find.
    let text = unsafe { std::ptr::read_volatile(text) };
    u64::from(text[14] - b'0') * 10 + u64::from(text[15] - b'0')
}
