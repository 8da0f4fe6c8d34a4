//! Scenarios of the feature "Leaked resources".

use relib_harness::Scenario;

/// The scenarios, in the order of the catalogue.
pub const SCENARIOS: &[Scenario] = &[];
