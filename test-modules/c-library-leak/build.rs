//! Compiles the C code.

fn main() {
    println!("cargo::rerun-if-changed=c/leak.c");
    cc::Build::new().file("c/leak.c").warnings_into_errors(true).compile("fixture_leak");
}
