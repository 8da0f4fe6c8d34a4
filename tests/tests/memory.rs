//! One `#[test]` for each scenario of the feature "Memory deallocation".

relib_tests::scenario_tests! {
    feature: Memory;
    leak_forget => "leak-forget",
}
