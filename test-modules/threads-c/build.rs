//! Compiles the C code of the platform.

fn main() {
    let windows = std::env::var_os("CARGO_CFG_WINDOWS").is_some();
    let source = if windows { "c/windows.c" } else { "c/posix.c" };
    println!("cargo::rerun-if-changed={source}");
    cc::Build::new().file(source).warnings_into_errors(true).compile("fixture_threads");
}
