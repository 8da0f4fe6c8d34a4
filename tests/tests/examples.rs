//! Each example does what its README says, command by command.

relib_tests::example_tests! {
    async_tokio => "async-tokio",
    c_in_a_module => "c-in-a-module",
    hello => "hello",
    plugin_host => "plugin-host",
}
