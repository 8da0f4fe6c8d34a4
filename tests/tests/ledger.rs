//! One `#[test]` for each scenario of the feature "Leaked resources".

relib_tests::scenario_tests! {
    feature: Ledger;
}
