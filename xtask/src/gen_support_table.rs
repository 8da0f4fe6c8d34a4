//! `cargo xtask gen-support-table`: writes the support table of README.md from the snapshots.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use relib_harness::cargo::Variant;
use relib_harness::table::{gaps, insert, render};
use relib_harness::{Profile, ScenarioInfo};

use crate::exit;
use crate::runner::{Places, list};

#[derive(clap::Args)]
pub struct Arguments {
    /// Write nothing; fail when the table is stale or a scenario has no snapshot
    #[arg(long)]
    check: bool,
    /// The list of scenarios as JSON, instead of asking the runner
    #[arg(long, hide = true)]
    scenarios: Option<PathBuf>,
    #[command(flatten)]
    places: Places,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let root = arguments.places.root()?;
    let scenarios = scenarios(arguments)?;
    let path = root.join("README.md");
    let readme = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let wanted = insert(&readme, &render(&scenarios, &root)?)
        .with_context(|| format!("cannot put the table into {}", path.display()))?;

    let gaps = gaps(&scenarios, &root);
    for gap in &gaps {
        eprintln!("{gap}");
    }
    if arguments.check {
        let stale = wanted != readme;
        if stale {
            eprintln!("the support table in {} is stale; run cargo xtask gen-support-table", path.display());
        }
        return Ok(if stale || !gaps.is_empty() { ExitCode::from(exit::FAILED) } else { ExitCode::SUCCESS });
    }
    if wanted != readme {
        fs::write(&path, wanted).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn scenarios(arguments: &Arguments) -> Result<Vec<ScenarioInfo>> {
    match &arguments.scenarios {
        Some(path) => {
            let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            serde_json::from_slice(&text)
                .with_context(|| format!("{} is no list of scenarios", path.display()))
        }
        None => list(&arguments.places.build_runner(Profile::Debug, &Variant::default())?, false),
    }
}
