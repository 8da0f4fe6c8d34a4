//! `cargo relib check`: is a module safe to reload?
//!
//! The module is loaded, its `main` called, and unloaded many times, by workers: processes of this program that
//! `relib_harness` contains. What a worker says (`record.rs`), what it holds more of afterwards and how it ended become
//! findings (`finding.rs`), and these the verdict. A worker takes part in everything that the module does to its process,
//! so its end outweighs its word.

mod ended;
mod finding;
mod record;
mod report;
mod worker;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result};
use relib_harness::Limits;
use relib_harness::process::{self, WorkDir};

use crate::console::MessageFormat;
use crate::exit;
use ended::Run;
use record::Record;
pub use worker::{Arguments as WorkerArguments, Story, run as work};

/// The hidden subcommand of the workers.
pub const WORKER: &str = "check-worker";

#[derive(clap::Args)]
pub struct Arguments {
    /// The file of a module
    file: PathBuf,
    /// How often the module is loaded and unloaded in a row
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    cycles: u64,
    /// Seconds that one process may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    time_limit: u64,
    /// Do not call the module's `main`
    #[arg(long)]
    no_main: bool,
    /// How to print the verdict
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    message_format: MessageFormat,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    // What is no module at all is an error, and not an unsafe module.
    let module = relib::inspect(&arguments.file)?;
    let limits = Limits { time: Some(Duration::from_secs(arguments.time_limit)), ..Limits::DEFAULT };
    let human = arguments.message_format == MessageFormat::Human;
    if human {
        report::heading(&module);
    }
    let mut runs = Vec::new();
    for story in Story::ALL {
        let run = contained(&module.path, story, arguments, &limits)?;
        if human {
            report::line(&run);
        }
        let is_over = run.findings.iter().any(|finding| finding.ends_the_check());
        runs.push(run);
        if is_over {
            break;
        }
    }
    let grows = runs.iter().flat_map(|run| &run.findings).any(|finding| finding.is_growth());
    if grows {
        // Says whether it is memory of C code that grows, and what mends it.
        runs.push(contained(&module.path, Story::CAllocations, arguments, &limits)?);
    }
    let verdict = report::Verdict::of(&module, !arguments.no_main, runs);
    match arguments.message_format {
        MessageFormat::Human => verdict.print(),
        MessageFormat::Json => println!("{:#}", verdict.json()),
    }
    Ok(if verdict.is_safe() { ExitCode::SUCCESS } else { ExitCode::from(exit::NO) })
}

/// Runs one story to its end, whatever that is.
fn contained(file: &Path, story: Story, arguments: &Arguments, limits: &Limits) -> Result<Run> {
    let cycles = story.cycles(arguments.cycles);
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let work = WorkDir::create().context("cannot make a directory for a contained process")?;
    let mut command = Command::new(program);
    command
        .arg(WORKER)
        .arg(file)
        .args(["--story", story.id(), "--cycles", &cycles.to_string()])
        .args(arguments.no_main.then_some("--no-main"))
        .arg("--records")
        .arg(work.report())
        // The backtraces of a module that panics in each cycle would be most of the work.
        .env_remove("RUST_BACKTRACE")
        .env_remove("RUST_LIB_BACKTRACE");
    let ended = process::contain(command, &work, limits).context("cannot run a contained process")?;
    let records = Record::read(&work.report()).context("cannot read what a contained process said")?;
    let reclaimed = records.iter().rev().find_map(|record| match record {
        Record::Unloaded(reclaimed) => Some(reclaimed.clone()),
        _ => None,
    });
    Ok(Run { story, cycles, reclaimed, findings: finding::all(&records, &ended)? })
}
