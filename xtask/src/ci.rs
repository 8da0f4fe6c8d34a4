//! `cargo xtask ci`: everything that CI runs, in the order in which it fails soonest.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::EXIT_FAILED;
use crate::runner::Places;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
}

/// One command of CI.
struct Step {
    name: &'static str,
    /// The cargo command, by its words.
    command: &'static str,
    /// The folder to run it in.
    folder: &'static str,
    environment: &'static [(&'static str, &'static str)],
    /// What to do when it fails.
    mend: &'static str,
}

const fn step(name: &'static str, folder: &'static str, command: &'static str, mend: &'static str) -> Step {
    Step { name, command, folder, environment: &[], mend }
}

const DENY_RUSTDOC_WARNINGS: &[(&str, &str)] = &[("RUSTDOCFLAGS", "-D warnings")];

const STEPS: &[Step] = &[
    step("formatting", ".", "fmt --all --check", "cargo fmt --all"),
    step(
        "formatting of the fixtures",
        "test-modules",
        "fmt --all --check",
        "cargo fmt --all in test-modules",
    ),
    step(
        "formatting of the examples",
        "examples/hello",
        "fmt --all --check",
        "cargo fmt --all in examples/hello",
    ),
    step("formatting of the demo", "examples/demo", "fmt --all --check", "cargo fmt --all in examples/demo"),
    step("formatting of the benchmarks", "benches", "fmt --all --check", "cargo fmt --all in benches"),
    step("tidy", ".", "xtask tidy", "what the lines above say"),
    step("clippy", ".", CLIPPY, "what clippy says above"),
    step("clippy of the fixtures", "test-modules", CLIPPY_FIXTURES, "what clippy says above"),
    step("clippy of the benchmarks", "benches", CLIPPY, "what clippy says above"),
    Step {
        name: "documentation",
        command: "doc --workspace --no-deps --quiet",
        folder: ".",
        environment: DENY_RUSTDOC_WARNINGS,
        mend: "what rustdoc says above",
    },
    step("tests", ".", "test --workspace", "the failing test; `cargo test -p PACKAGE NAME` runs it alone"),
    step("support table", ".", "xtask gen-support-table --check", "cargo xtask gen-support-table"),
    step("soak", ".", "xtask soak --cycles 1000", "the growth shown above; more cycles show it better"),
    step("benchmarks", ".", "xtask bench --quick", "the error above; no number fails this step"),
    step(
        "test matrix",
        ".",
        "xtask test-matrix",
        "the difference above; accept an intended one with --bless",
    ),
];

const CLIPPY: &str = "clippy --workspace --all-targets -- -D warnings";

/// Built beside the fixtures that the scenarios load, so that their dependencies are checked once.
const CLIPPY_FIXTURES: &str =
    "clippy --workspace --all-targets --target-dir ../target/fixtures-clippy -- -D warnings";

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let root = arguments.places.root();
    for step in STEPS {
        println!("==> {}: cargo {}", step.name, step.command);
        let start = Instant::now();
        if !succeeds(step, &root)? {
            eprintln!("==> {} failed; mend it by: {}", step.name, step.mend);
            return Ok(ExitCode::from(EXIT_FAILED));
        }
        println!("==> {}: ok in {} s", step.name, start.elapsed().as_secs());
    }
    println!("==> all {} steps of CI are ok", STEPS.len());
    Ok(ExitCode::SUCCESS)
}

fn succeeds(step: &Step, root: &Path) -> Result<bool> {
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(step.command.split_whitespace())
        .envs(step.environment.iter().copied())
        .current_dir(root.join(step.folder))
        .status()
        .with_context(|| format!("cannot run cargo {}", step.command))?;
    Ok(status.success())
}
