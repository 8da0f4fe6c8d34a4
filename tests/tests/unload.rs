//! One `#[test]` for each scenario of the feature "Final unload check".

relib_tests::scenario_tests! {
    feature: Unload;
}
