//! One `#[test]` for each scenario of the feature "Memory deallocation".

relib_tests::scenario_tests! {
    feature: Memory;
    leak_forget => "leak-forget",
    leak_static => "leak-static",
    leak_large => "leak-large",
    leak_million => "leak-million",
    leak_threads => "leak-threads",
    leak_realloc_aligned => "leak-realloc-aligned",
    memory_while_called => "memory-while-called",
    alloc_in_constructor => "alloc-in-constructor",
    alloc_custom_global => "alloc-custom-global",
    memory_environment => "memory-environment",
    state_foreign_allocator => "state-foreign-allocator",
    dealloc_foreign => "dealloc-foreign",
    c_library_leak => "c-library-leak",
}
