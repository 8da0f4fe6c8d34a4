//! Scenarios of the feature "Memory deallocation".

use relib_harness::Scenario;

/// The scenarios, in the order of the catalogue.
pub const SCENARIOS: &[Scenario] = &[];
