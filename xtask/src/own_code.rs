//! Makes sure that it is this checkout's tasks that run.
//!
//! Cargo tells executables of workspaces apart by where a package is in its workspace, and takes one as fresh that is newer
//! than the files it was made of. Checkouts that share a target folder therefore run each other's.

use std::env;
use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use crate::exit;

/// Set while the tasks are built again, so that this is tried once.
const BUILT_AGAIN: &str = "RELIB_XTASK_BUILT_AGAIN";

/// The roots of the crates that xtask consists of, from its own folder on.
const CRATES: [&str; 2] = ["src/main.rs", "../harness/src/lib.rs"];

/// If this executable was compiled in another checkout, builds that of the checkout it was started for, and runs that;
/// returns how it ended.
pub fn run_instead() -> Result<Option<ExitCode>> {
    let Some(package) = env::var_os("CARGO_MANIFEST_DIR") else { return Ok(None) };
    let package = Path::new(&package);
    let is_xtask = package.ends_with("xtask") && package.join(CRATES[0]).is_file();
    if !is_xtask || package == Path::new(env!("CARGO_MANIFEST_DIR")) || env::var_os(BUILT_AGAIN).is_some() {
        return Ok(None);
    }
    for root in CRATES {
        let file = package.join(root);
        let touched =
            File::options().append(true).open(&file).and_then(|file| file.set_modified(SystemTime::now()));
        touched.with_context(|| format!("cannot have cargo build {} again", file.display()))?;
    }
    let status = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["run", "--package", "xtask", "--quiet", "--manifest-path"])
        .arg(package.join("Cargo.toml"))
        .arg("--")
        .args(env::args_os().skip(1))
        .env(BUILT_AGAIN, "1")
        .status()
        .context("cannot run cargo")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(Some(ExitCode::from(code.unwrap_or(exit::FAILED))))
}
