//! One `#[test]` for each scenario of the feature "Panic handling".

relib_tests::scenario_tests! {
    feature: Panics;
    panic_main => "panic-main",
    panic_export => "panic-export",
    panic_before_unload => "panic-before-unload",
    panic_payload => "panic-payload",
    panic_again => "panic-again",
    panic_import => "panic-import",
    panic_thread => "panic-thread",
    panic_nested => "panic-nested",
    panic_double => "panic-double",
    panic_abort_module => "panic-abort-module",
}
