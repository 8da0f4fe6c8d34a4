//! The checkout that a process works on. It must not matter in which one it was compiled: checkouts that share a target
//! folder share executables.

use std::path::PathBuf;

/// The root of the checkout around the package that cargo runs, or else around the current folder; `None` if there is none.
///
/// Cargo sets `CARGO_MANIFEST_DIR` for what `cargo run`, `cargo test` and `cargo bench` start, and processes hand it on.
///
/// ```
/// let root = relib_harness::checkout::root().unwrap();
/// assert!(root.join("harness/src/checkout.rs").is_file());
/// ```
pub fn root() -> Option<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let current = std::env::current_dir().ok();
    let starts = [package, current];
    let mut folders = starts.iter().flatten().flat_map(|start| start.ancestors());
    folders.find(|folder| folder.join("xtask/Cargo.toml").is_file()).map(PathBuf::from)
}
