//! One `#[test]` for each scenario of the feature "Thread-locals".

relib_tests::scenario_tests! {
    feature: ThreadLocals;
}
