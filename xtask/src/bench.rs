//! `cargo xtask bench`: relib and its peers side by side, by the workspace `benches`, which measures and writes.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::runner::Places;

#[derive(clap::Args)]
pub struct Arguments {
    /// Only see that everything works: few rounds, without wasmtime, and nothing is written
    #[arg(long)]
    quick: bool,
    /// Only measure the parts whose names contain this, such as `loading`; nothing is written
    #[arg(long)]
    only: Option<String>,
    /// Leave out wasmtime, whose build takes minutes
    #[arg(long)]
    without_wasmtime: bool,
    #[command(flatten)]
    places: Places,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let root = arguments.places.root()?;
    let benches = root.join("benches");
    build(&benches, !arguments.quick && !arguments.without_wasmtime)?;
    let built = benches.join("target/release");
    let runner = built.join(format!("bench_runner{}", std::env::consts::EXE_SUFFIX));
    let mut measure = Command::new(&runner);
    measure.args(["measure", "--modules"]).arg(&built);
    if arguments.quick {
        measure.arg("--quick");
    }
    match &arguments.only {
        Some(only) => _ = measure.arg("--only").arg(only),
        None if arguments.quick => {}
        None => _ = measure.arg("--docs").arg(root.join("docs")),
    }
    let status = measure.status().with_context(|| format!("cannot run {}", runner.display()))?;
    if !status.success() {
        bail!("the benchmark ended with {status}");
    }
    Ok(ExitCode::SUCCESS)
}

fn build(benches: &Path, wasmtime: bool) -> Result<()> {
    eprintln!("building relib and its peers");
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--release", "--workspace", "--locked"]).current_dir(benches);
    // Where the report says that it is; the modules are looked for there.
    build.env_remove("CARGO_TARGET_DIR");
    if wasmtime {
        build.args(["--features", "bench_runner/wasmtime"]);
    }
    let status = build.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("the benchmark does not build; see the compiler's messages above");
    }
    Ok(())
}
