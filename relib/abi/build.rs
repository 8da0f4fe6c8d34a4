//! Records which compiler builds this crate, because the layout of Rust types is only equal on both sides of the
//! boundary when both sides come from the same compiler.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = std::env::var("RUSTC").expect("cargo sets RUSTC for build scripts");
    let output = Command::new(&rustc)
        .arg("-vV")
        .output()
        .unwrap_or_else(|error| panic!("cannot run {rustc} -vV: {error}"));
    let verbose = String::from_utf8(output.stdout).expect("rustc prints its version as UTF-8");
    let field = |name: &str| {
        verbose
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .unwrap_or("unknown")
            .to_owned()
    };
    let first_line = verbose.lines().next().unwrap_or("rustc of unknown version").to_owned();
    let commit = field("commit-hash");
    // Distributions build without a commit hash; the host triple and LLVM version then still tell builds apart.
    println!("cargo::rustc-env=RELIB_RUSTC={first_line} [{commit}, LLVM {}]", field("LLVM version"));
    println!(
        "cargo::rustc-env=RELIB_TARGET={}",
        std::env::var("TARGET").expect("cargo sets TARGET for build scripts")
    );
}
