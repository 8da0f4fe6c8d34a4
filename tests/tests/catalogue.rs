//! The catalogue is complete and consistent: nothing in it is forgotten, doubled or misplaced.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use relib_tests::harness::{Feature, ScenarioInfo};
use relib_tests::{SCENARIOS, file_stem, root};

#[test]
fn ids_are_unique_and_name_files() {
    let mut seen = BTreeSet::new();
    for scenario in SCENARIOS {
        let id = scenario.id;
        assert!(seen.insert(id), "{id} is there twice");
        assert!(
            id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
            "{id} should be of lowercase letters, digits and hyphens"
        );
        assert!(!scenario.profiles.is_empty() && !scenario.platforms.is_empty(), "{id} never runs");
        assert_ne!(scenario.feature, Feature::SelfTest, "{id} would never be in the matrix");
    }
}

#[test]
fn scenarios_follow_the_order_of_the_table() {
    let features: Vec<Feature> = SCENARIOS.iter().map(|scenario| scenario.feature).collect();
    assert!(features.is_sorted(), "a scenario lies in the module of another feature: {features:?}");
}

/// The rows themselves are checked by `every_scenario_has_a_test` in each of these files.
#[test]
fn every_feature_has_its_test_file() {
    for feature in Feature::ALL {
        let path = root().join("tests/tests").join(file_stem(feature)).with_extension("rs");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let line = format!("feature: {feature:?};");
        assert!(
            text.contains("scenario_tests!") && text.contains(&line),
            "{} lacks `{line}`",
            path.display()
        );
    }
}

#[test]
fn the_runner_lists_the_catalogue() {
    let output = Command::new(env!("CARGO_BIN_EXE_relib-scenario")).arg("list").output().unwrap();
    let listed: Vec<ScenarioInfo> = serde_json::from_slice(&output.stdout).unwrap();
    let expected: Vec<ScenarioInfo> = SCENARIOS.iter().map(|scenario| scenario.info()).collect();
    assert_eq!(listed, expected);
}
