//! One `#[test]` for each scenario of the feature "Imports and exports".

relib_tests::scenario_tests! {
    feature: ExportsImports;
}
