//! Compiles the C code.

fn main() {
    println!("cargo::rerun-if-changed=c/threads.c");
    cc::Build::new().file("c/threads.c").warnings_into_errors(true).compile("fixture_threads");
}
