//! `cargo xtask ci`: everything that CI runs, what is quick before what takes long.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::exit;
use crate::runner::Places;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
}

/// One command of CI.
struct Step {
    name: String,
    /// The cargo command, by its words.
    command: String,
    /// The folder to run it in, below the root.
    folder: PathBuf,
    environment: &'static [(&'static str, &'static str)],
    /// What to do when it fails, in a sentence.
    advice: String,
}

fn step(name: &str, folder: impl AsRef<Path>, command: &str, advice: &str) -> Step {
    Step {
        name: name.to_owned(),
        command: command.to_owned(),
        folder: folder.as_ref().to_owned(),
        environment: &[],
        advice: advice.to_owned(),
    }
}

const FMT: &str = "fmt --all --check";
const MEND_CLIPPY: &str = "mend what clippy says above";

fn formatting(what: &str, folder: impl AsRef<Path>) -> Step {
    let advice = format!("run `cargo fmt --all` in {}", folder.as_ref().display());
    step(&format!("formatting{what}"), folder, FMT, &advice)
}

/// Clippy for a workspace, with a target folder of the main one's and settings for cargo.
fn clippy(what: &str, folder: impl AsRef<Path>, target: &str, settings: &[String]) -> Step {
    let settings: String = settings.iter().map(|setting| format!(" --config {setting}")).collect();
    let command = format!("clippy --workspace --all-targets --target-dir {target}{settings} -- -D warnings");
    step(&format!("clippy{what}"), folder, &command, MEND_CLIPPY)
}

/// Where clippy looks at the workspaces beside the main one: what they depend on is then looked at once for all.
const CLIPPY_TARGET: &str = "target/clippy";

/// Settings by which cargo tells the packages of one example from those of all others: it knows them by their names and
/// versions only, and each example has a `shared`. What is set has no effect on what clippy finds.
fn apart(root: &Path, folder: &Path, number: usize) -> Result<Vec<String>> {
    const UNUSUAL: usize = 100;
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root.join(folder))
        .output()
        .context("cannot run cargo metadata")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("cargo metadata says nothing of {}", folder.display()))?;
    let names =
        metadata["packages"].as_array().into_iter().flatten().filter_map(|package| package["name"].as_str());
    Ok(names.map(|name| format!("profile.dev.package.{name}.codegen-units={}", UNUSUAL + number)).collect())
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn steps(root: &Path) -> Result<Vec<Step>> {
    let examples = examples(root)?;
    let mut steps = vec![formatting("", "."), formatting(" of the fixtures", "test-modules")];
    steps.extend(examples.iter().map(|folder| formatting(&format!(" of {}", folder.display()), folder)));
    steps.push(formatting(" of the benchmarks", "benches"));
    steps.push(step("tidy", ".", "xtask tidy", "mend what the lines above say"));
    steps.push(clippy("", ".", "target", &[]));
    steps.push(step(
        "clippy without features",
        ".",
        "clippy --package relib --package relib_module --package relib_interface --no-default-features -- -D warnings",
        MEND_CLIPPY,
    ));
    let beside = |what: &str, folder: &Path, settings: &[String]| {
        let up: PathBuf = folder.components().map(|_| "..").collect();
        clippy(what, folder, &up.join(CLIPPY_TARGET).display().to_string(), settings)
    };
    steps.push(beside(" of the fixtures", Path::new("test-modules"), &[]));
    steps.push(beside(" of the fuzz target", Path::new("relib/host/fuzz"), &[]));
    steps.push(beside(" of the benchmarks", Path::new("benches"), &[]));
    for (number, folder) in examples.iter().enumerate() {
        let settings = apart(root, folder, number)?;
        steps.push(beside(&format!(" of {}", folder.display()), folder, &settings));
    }
    steps.push(Step {
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
        ..step("documentation", ".", "doc --workspace --no-deps --quiet", "mend what rustdoc says above")
    });
    steps.push(step(
        "support table",
        ".",
        "xtask gen-support-table --check",
        "write the table by `cargo xtask gen-support-table`, after `cargo xtask test-matrix` if a snapshot is missing",
    ));
    steps.push(step(
        "tests",
        ".",
        "test --workspace",
        "mend the failing test; `cargo test -p PACKAGE NAME` runs it alone",
    ));
    steps.push(step(
        "soak",
        ".",
        "xtask soak --cycles 1000",
        "look for what has grown, as shown above; `cargo xtask soak` with more cycles shows it better",
    ));
    steps.push(step(
        "benchmarks",
        ".",
        "xtask bench --quick",
        "mend the error above; no number fails this step",
    ));
    steps.push(step(
        "test matrix",
        ".",
        // The tests have run each scenario in debug, and compared it with its snapshot.
        "xtask test-matrix --profile release",
        "mend the differences above; an intended one is accepted by `cargo xtask test-matrix --bless`",
    ));
    steps.push(step(
        "test matrix for Windows",
        ".",
        "xtask test-matrix --platform windows",
        "mend the differences above; `cargo xtask setup windows` installs what is missing",
    ));
    Ok(steps)
}

/// The examples, each a workspace of its own.
fn examples(root: &Path) -> Result<Vec<PathBuf>> {
    let folder = root.join("examples");
    let entries = folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))?;
    let mut examples = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        if entry.path().join("Cargo.toml").is_file() {
            examples.push(Path::new("examples").join(entry.file_name()));
        }
    }
    examples.sort();
    Ok(examples)
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let root = arguments.places.root()?;
    let steps = steps(&root)?;
    for step in &steps {
        println!("==> {}: cargo {}", step.name, step.command);
        let start = Instant::now();
        if !succeeds(step, &root)? {
            eprintln!("==> {} failed; {}", step.name, step.advice);
            return Ok(ExitCode::from(exit::FAILED));
        }
        println!("==> {}: ok in {} s", step.name, start.elapsed().as_secs());
    }
    println!("==> all {} steps of CI are ok", steps.len());
    Ok(ExitCode::SUCCESS)
}

fn succeeds(step: &Step, root: &Path) -> Result<bool> {
    let status = cargo()
        .args(step.command.split_whitespace())
        .envs(step.environment.iter().copied())
        .current_dir(root.join(&step.folder))
        .status()
        .with_context(|| format!("cannot run cargo {}", step.command))?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_formatted_and_compiled() {
        let steps = steps(&relib_harness::checkout::root().unwrap()).unwrap();
        for example in ["examples/hello", "examples/demo"] {
            let commands: Vec<&str> = steps
                .iter()
                .filter(|step| step.folder == Path::new(example))
                .filter_map(|step| step.command.split_whitespace().next())
                .collect();
            assert_eq!(commands, ["fmt", "clippy"], "{example}");
        }
    }
}
