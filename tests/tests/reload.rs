//! One `#[test]` for each scenario of the feature "Reload".

relib_tests::scenario_tests! {
    feature: Reload;
    reload_changed_code => "reload-changed-code",
    reload_thousand => "reload-thousand",
    reload_overwritten => "reload-overwritten",
    reload_original_replaced => "reload-original-replaced",
    reload_broken_build => "reload-broken-build",
    reload_state => "reload-state",
    reloader_edits => "reloader-edits",
    reloader_files => "reloader-files",
    reloader_links => "reloader-links",
    reloader_on_request => "reloader-on-request",
    reloader_several => "reloader-several",
    reloader_refuse => "reloader-refuse",
    reloader_wait => "reloader-wait",
    reloader_zombie => "reloader-zombie",
    reloader_host_state => "reloader-host-state",
    reloader_heap_state => "reloader-heap-state",
    reloader_heap_state_moved => "reloader-heap-state-moved",
    reloader_heap_state_between => "reloader-heap-state-between",
    reloader_heap_state_changed => "reloader-heap-state-changed",
    reloader_saved_state => "reloader-saved-state",
}
