//! One `#[test]` for each scenario of the feature "Thread-locals".

relib_tests::scenario_tests! {
    feature: ThreadLocals;
    tls_drop => "tls-drop",
    tls_drop_allocates => "tls-drop-allocates",
    tls_drop_nested => "tls-drop-nested",
    tls_drop_calls_import => "tls-drop-calls-import",
    tls_module_thread => "tls-module-thread",
    tls_host_thread_exited => "tls-host-thread-exited",
    tls_host_thread_nested => "tls-host-thread-nested",
    tls_host_thread_ending => "tls-host-thread-ending",
    tls_host_thread_late => "tls-host-thread-late",
    tls_host_thread_alive => "tls-host-thread-alive",
    tls_host_thread_system => "tls-host-thread-system",
    tls_release_anew => "tls-release-anew",
    tls_static => "tls-static",
    tls_release_in_call => "tls-release-in-call",
    tls_unload_in_drop => "tls-unload-in-drop",
    tls_key => "tls-key",
    tls_scoped_slow_drop => "tls-scoped-slow-drop",
    tls_many_keys => "tls-many-keys",
}
