//! One `#[test]` for each scenario of the feature "Backtraces".

relib_tests::scenario_tests! {
    feature: Backtraces;
}
