//! One `#[test]` for each scenario of the feature "Leaked resources".

relib_tests::scenario_tests! {
    feature: Ledger;
    fd_leak => "fd-leak",
    fd_handed_over => "fd-handed-over",
    mapping_leak => "mapping-leak",
    mmap_leak => "mmap-leak",
    pthread_key_leak => "pthread-key-leak",
    signal_handler => "signal-handler",
    atexit_handler => "atexit-handler",
    library_leak => "library-leak",
}
