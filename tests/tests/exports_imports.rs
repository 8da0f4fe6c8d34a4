//! One `#[test]` for each scenario of the feature "Imports and exports".

relib_tests::scenario_tests! {
    feature: ExportsImports;
    calls_primitives => "calls-primitives",
    calls_strings => "calls-strings",
    calls_structs => "calls-structs",
    calls_borrowed => "calls-borrowed",
    calls_mut_owned => "calls-mut-owned",
    calls_callback => "calls-callback",
    call_main => "call-main",
    call_main_wrong_type => "call-main-wrong-type",
    import_twice => "import-twice",
    two_interfaces => "two-interfaces",
    interface_mismatch_signature => "interface-mismatch-signature",
    interface_mismatch_missing => "interface-mismatch-missing",
    interface_mismatch_field => "interface-mismatch-field",
    interface_mismatch_values => "interface-mismatch-values",
    interface_mismatch_lifetime => "interface-mismatch-lifetime",
    interface_superset => "interface-superset",
    host_is_dylib => "host-is-dylib",
}
