//! One `#[test]` for each scenario of the feature "Background threads check".

relib_tests::scenario_tests! {
    feature: Threads;
}
