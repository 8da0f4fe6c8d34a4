//! One `#[test]` for each scenario of the feature "Panic handling".

relib_tests::scenario_tests! {
    feature: Panics;
}
