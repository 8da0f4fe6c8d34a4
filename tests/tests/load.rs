//! One `#[test]` for each scenario of the feature "Load checks".

relib_tests::scenario_tests! {
    feature: Load;
    load_missing => "load-missing",
    load_directory => "load-directory",
    load_text => "load-text",
    load_empty => "load-empty",
    load_c_library => "load-c-library",
    load_other_machine => "load-other-machine",
    load_truncated => "load-truncated",
    load_mutated => "load-mutated",
    load_other_rustc => "load-other-rustc",
    load_other_relib => "load-other-relib",
    load_other_target => "load-other-target",
    load_twice => "load-twice",
    load_permanent => "load-permanent",
    load_replaced_in_place => "load-replaced-in-place",
    load_failed_then_good => "load-failed-then-good",
    load_parallel => "load-parallel",
    load_symlink => "load-symlink",
    load_relative => "load-relative",
    load_unicode_path => "load-unicode-path",
    load_unicode_folder => "load-unicode-folder",
    load_long_path => "load-long-path",
    load_bare_name => "load-bare-name",
    load_linked_library => "load-linked-library",
    load_in_place_locked => "load-in-place-locked",
}
