//! Compiles the C++ half, and has its template's static exported: rustc hides all symbols of native code otherwise.

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=src/counter.cpp");
    cc::Build::new().cpp(true).cpp_link_stdlib(None).file("src/counter.cpp").compile("counter");

    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let script = out.join("unique.map");
    std::fs::write(&script, "{ global: _ZN7CounterIiE5valueE; };\n").expect("OUT_DIR should be writable");
    println!("cargo::rustc-link-arg-cdylib=-Wl,--version-script={}", script.display());
}
