//! What a contained process may use up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the process of a scenario may use up; `None` lifts the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Wall-clock time, after which the whole process group is killed.
    pub time: Option<Duration>,
    /// Bytes of address space. A sanitizer reserves terabytes and needs `None`.
    pub address_space: Option<u64>,
}

impl Limits {
    /// 60 seconds and 8 GiB: several times what the largest scenario needs on a slow machine.
    pub const DEFAULT: Limits = Limits { time: Some(Duration::from_secs(60)), address_space: Some(8 << 30) };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}
