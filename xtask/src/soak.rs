//! `cargo xtask soak`: thousands of reloads in one process, which must hold nothing more afterwards.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};
use relib_harness::cargo::Variant;
use relib_harness::probe::ENVIRONMENT;
use relib_harness::{Fixtures, Profile};

use crate::exit;
use crate::runner::Places;

/// The executable and the fixture that it reloads.
const BINARY: &str = "relib-soak";
const FIXTURE: &str = "mixed";

/// How many lines of standard error are shown when the process fails; the panics of the fixture are all there.
const STDERR_LINES: usize = 20;

#[derive(clap::Args)]
pub struct Arguments {
    /// How often the module is reloaded
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    cycles: u64,
    #[command(flatten)]
    places: Places,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let executable = arguments.places.build_executable(BINARY, Profile::Release, &Variant::default())?;
    eprintln!("building fixtures ({})", Profile::Release);
    let fixtures = Fixtures::build(&arguments.places.root()?, Profile::Release, &Variant::default())?;
    let mut command = Command::new(&executable);
    command
        .arg(fixtures.path(FIXTURE)?)
        .arg("--cycles")
        .arg(arguments.cycles.to_string())
        // Each prints a line where a panic is, and is set by people; the backtrace would be most of the work.
        .env_remove("RUST_BACKTRACE")
        .envs(ENVIRONMENT.iter().copied())
        .stdout(Stdio::inherit())
        .stderr(Stdio::piped());
    let output = command.output().with_context(|| format!("cannot run {}", executable.display()))?;
    if output.status.success() {
        return Ok(ExitCode::SUCCESS);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = stderr.lines().collect();
    for line in &lines[lines.len().saturating_sub(STDERR_LINES)..] {
        eprintln!("{line}");
    }
    eprintln!("{BINARY} ended with {}", output.status);
    Ok(ExitCode::from(exit::FAILED))
}
