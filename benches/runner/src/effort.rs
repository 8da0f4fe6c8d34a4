//! How much is measured.

/// How much is done.
pub struct Effort {
    /// Turns of each side.
    pub rounds: usize,
    /// Turns where one takes many milliseconds, or for one of the peers seconds.
    pub long_rounds: usize,
    /// The largest number of live blocks.
    pub live_blocks: u64,
}

impl Effort {
    /// For the report.
    pub const FULL: Self = Self { rounds: 400, long_rounds: 200, live_blocks: 10_000_000 };
    /// To see that everything works.
    pub const QUICK: Self = Self { rounds: 20, long_rounds: 3, live_blocks: 100_000 };
}
