//! A worker that has ended.

use super::finding::Finding;
use super::record::Reclaimed;
use super::worker::Story;

/// What one worker came to.
pub struct Run {
    pub story: Story,
    pub cycles: u64,
    /// What relib reclaimed at the last unload.
    pub reclaimed: Option<Reclaimed>,
    pub findings: Vec<Finding>,
}
