//! Scenarios of the feature "Imports and exports".

use relib_harness::Scenario;

/// The scenarios, in the order of the catalogue.
pub const SCENARIOS: &[Scenario] = &[];
