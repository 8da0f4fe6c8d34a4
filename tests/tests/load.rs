//! One `#[test]` for each scenario of the feature "Load checks".

relib_tests::scenario_tests! {
    feature: Load;
}
