//! `cargo xtask demo`: builds a host and a module, and has the host show what relib does, step by step.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::runner::Places;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let root = arguments.places.root()?;
    // The demo changes a source, so it works on a copy.
    let copy = tempfile::Builder::new()
        .prefix("relib-demo-sources-")
        .tempdir()
        .context("cannot make a directory")?;
    copy_workspace(&root, copy.path())?;

    println!("building a host and a module from examples/demo");
    // Built beside everything else of this repository, so that what has been compiled once is used again.
    let target = root.join("target");
    let build = |package: &str| {
        let mut build: Vec<OsString> = vec![
            std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            "build".into(),
            "--manifest-path".into(),
            copy.path().join("Cargo.toml").into(),
            "--target-dir".into(),
            target.clone().into(),
        ];
        build.extend(["--package".into(), package.into()]);
        build
    };
    let module_build = build("demo-module");
    for command in [&build("demo-host"), &module_build] {
        let status = Command::new(&command[0]).args(&command[1..]).status().context("cannot run cargo")?;
        if !status.success() {
            bail!("the demo does not build; see the compiler's messages above");
        }
    }

    let built = target.join("debug");
    let host = built.join(format!("demo-host{}", std::env::consts::EXE_SUFFIX));
    let status = Command::new(&host)
        .arg(module_file(&built))
        .arg(copy.path().join("module/src/lib.rs"))
        .args(module_build)
        // The demo shows the module's backtrace itself, where it belongs.
        .env_remove("RUST_BACKTRACE")
        .status()
        .with_context(|| format!("cannot run {}", host.display()))?;
    if !status.success() {
        bail!("the demo's host ended with {status}");
    }
    println!("\nThat was examples/demo; README.md shows how to write your own.");
    Ok(ExitCode::SUCCESS)
}

fn module_file(built: &Path) -> PathBuf {
    built.join(format!("{}demo_module{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX))
}

/// Copies the demo's workspace, with its dependencies on this repository by absolute paths.
fn copy_workspace(root: &Path, to: &Path) -> Result<()> {
    let from = root.join("examples/demo");
    for package in ["shared", "module", "host"] {
        let source = if package == "host" { "src/main.rs" } else { "src/lib.rs" };
        copy_file(&from.join(package).join(source), &to.join(package).join(source))?;
        let manifest = from.join(package).join("Cargo.toml");
        let text =
            fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
        let text = text.replace("../../../relib", &root.join("relib").display().to_string());
        let path = to.join(package).join("Cargo.toml");
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    copy_file(&from.join("Cargo.toml"), &to.join("Cargo.toml"))?;
    // The same versions of the dependencies as everywhere in this repository.
    copy_file(&root.join("Cargo.lock"), &to.join("Cargo.lock"))
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
