//! `cargo xtask ci`: everything that CI runs, in the order in which it fails soonest.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs;
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
    folder: Cow<'static, str>,
    environment: &'static [(&'static str, &'static str)],
    /// What to do when it fails.
    mend: &'static str,
}

const fn step(name: &'static str, folder: &'static str, command: &'static str, mend: &'static str) -> Step {
    Step { name, command, folder: Cow::Borrowed(folder), environment: &[], mend }
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
    step("tidy", ".", "xtask tidy", "what the lines above say"),
    step("clippy", ".", "clippy --workspace --all-targets -- -D warnings", "what clippy says above"),
    step("clippy of the fixtures", "test-modules", CLIPPY_FIXTURES, "what clippy says above"),
    Step {
        name: "documentation",
        command: "doc --workspace --no-deps --quiet",
        folder: Cow::Borrowed("."),
        environment: DENY_RUSTDOC_WARNINGS,
        mend: "what rustdoc says above",
    },
    step("tests", ".", "test --workspace", "the failing test; `cargo test -p PACKAGE NAME` runs it alone"),
    step("support table", ".", "xtask gen-support-table --check", "cargo xtask gen-support-table"),
    step("soak", ".", "xtask soak --cycles 1000", "the growth shown above; more cycles show it better"),
    step(
        "test matrix",
        ".",
        "xtask test-matrix",
        "the difference above; accept an intended one with --bless",
    ),
];

/// Built beside the fixtures that the scenarios load, so that their dependencies are checked once.
const CLIPPY_FIXTURES: &str =
    "clippy --workspace --all-targets --target-dir ../target/fixtures-clippy -- -D warnings";

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let root = arguments.places.root();
    let examples = examples(&root)?;
    let steps: Vec<&Step> = examples.iter().chain(STEPS).collect();
    for step in &steps {
        println!("==> {}: cargo {} in {}", step.name, step.command, step.folder);
        let start = Instant::now();
        if !succeeds(step, &root)? {
            eprintln!("==> {} failed; mend it by: {}", step.name, step.mend);
            return Ok(ExitCode::from(EXIT_FAILED));
        }
        println!("==> {}: ok in {} s", step.name, start.elapsed().as_secs());
    }
    println!("==> all {} steps of CI are ok", steps.len());
    Ok(ExitCode::SUCCESS)
}

/// The formatting of the examples, each of which is a workspace of its own.
fn examples(root: &Path) -> Result<Vec<Step>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root.join("examples")).context("cannot list the examples")? {
        folders.push(entry.context("cannot list the examples")?.file_name());
    }
    folders.sort();
    let format = |folder: OsString| Step {
        folder: Cow::Owned(format!("examples/{}", folder.to_string_lossy())),
        ..step("formatting of an example", ".", "fmt --all --check", "cargo fmt --all in its folder")
    };
    Ok(folders.into_iter().map(format).collect())
}

fn succeeds(step: &Step, root: &Path) -> Result<bool> {
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(step.command.split_whitespace())
        .envs(step.environment.iter().copied())
        .current_dir(root.join(&*step.folder))
        .status()
        .with_context(|| format!("cannot run cargo {}", step.command))?;
    Ok(status.success())
}
