//! One `#[test]` for each scenario of the feature "Background threads check".

relib_tests::scenario_tests! {
    feature: Threads;
    threads_running => "threads-running",
    threads_joined => "threads-joined",
    threads_scoped => "threads-scoped",
    threads_detached_finished => "threads-detached-finished",
    threads_host_finished => "threads-host-finished",
    threads_before_unload_joins => "threads-before-unload-joins",
    threads_within => "threads-within",
    threads_c => "threads-c",
    threads_c_exit => "threads-c-exit",
    threads_c11 => "threads-c11",
    threads_c_system => "threads-c-system",
    threads_suspended => "threads-suspended",
    threads_free_and_exit => "threads-free-and-exit",
    threads_rayon => "threads-rayon",
    threads_rayon_dropped => "threads-rayon-dropped",
    threads_tokio => "threads-tokio",
}
