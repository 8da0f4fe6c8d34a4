//! One `#[test]` for each scenario of the feature "Final unload check".

relib_tests::scenario_tests! {
    feature: Unload;
    unload_clean => "unload-clean",
    unload_other_thread => "unload-other-thread",
    unload_ten_parallel => "unload-ten-parallel",
    unload_nodelete => "unload-nodelete",
    unload_unique_symbol => "unload-unique-symbol",
    unload_second_handle => "unload-second-handle",
    unload_held_elsewhere => "unload-held-elsewhere",
    unload_early_thread_local => "unload-early-thread-local",
    unload_failed_keeps_heap => "unload-failed-keeps-heap",
    unload_retry => "unload-retry",
    unload_drop => "unload-drop",
    before_unload => "before-unload",
}
