//! One `#[test]` for each scenario of the feature "Reload".

relib_tests::scenario_tests! {
    feature: Reload;
    reload_changed_code => "reload-changed-code",
    reload_thousand => "reload-thousand",
    reload_overwritten => "reload-overwritten",
    reload_broken_build => "reload-broken-build",
    reload_state => "reload-state",
}
