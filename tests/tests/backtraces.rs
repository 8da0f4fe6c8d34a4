//! One `#[test]` for each scenario of the feature "Backtraces".

relib_tests::scenario_tests! {
    feature: Backtraces;
    backtrace_module => "backtrace-module",
    backtrace_unload => "backtrace-unload",
    backtrace_host_frames => "backtrace-host-frames",
    backtrace_two_modules => "backtrace-two-modules",
}
