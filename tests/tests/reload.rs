//! One `#[test]` for each scenario of the feature "Reload".

relib_tests::scenario_tests! {
    feature: Reload;
}
