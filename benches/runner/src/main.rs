//! Measures relib against what a user would pick instead, side by side in one process, and writes what came out.
//!
//! `measure/` has a file for each kind of measurement, `instructions.rs` and `profile.rs` count instead of timing,
//! `peers.rs` opens the modules of all sides, `results.rs` is what is handed from measuring to writing, `report.rs` and
//! `plots.rs` write. Nothing here knows what the numbers should be
//! but `goals.rs`, which only the report reads.

mod effort;
mod goals;
mod instructions;
mod machine;
mod measure;
mod peers;
mod plots;
mod profile;
mod report;
mod results;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use effort::Effort;
use peers::Files;

#[derive(Parser)]
#[command(about = "Measures relib against its peers")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure everything
    Measure {
        /// The directory in which cargo has built the modules
        #[arg(long)]
        modules: PathBuf,
        /// Few rounds of everything, to see that it works
        #[arg(long)]
        quick: bool,
        /// Only the parts whose names contain this, such as `loading`
        #[arg(long, conflicts_with = "docs")]
        only: Option<String>,
        /// Where to put `BENCHMARKS.md` and the plots; without it the table is only printed
        #[arg(long)]
        docs: Option<PathBuf>,
    },
    /// Do one thing some times, for valgrind to count instructions
    Repeat {
        /// The directory in which cargo has built the modules
        #[arg(long)]
        modules: PathBuf,
        /// What to do
        what: instructions::Subject,
        /// How often
        count: u64,
    },
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Measure { modules, quick, only, docs } => {
            let files = Files::prepare(&modules)?;
            let effort = if quick { Effort::QUICK } else { Effort::FULL };
            let results = measure::everything(&files, &effort, only.as_deref().unwrap_or_default())?;
            println!("{}", report::table(&results));
            if let Some(docs) = docs {
                plots::write(&results, &docs.join("benchmarks")).context("cannot write the plots")?;
                std::fs::write(docs.join("BENCHMARKS.md"), report::document(&results))
                    .context("cannot write BENCHMARKS.md")?;
            }
            Ok(())
        }
        Task::Repeat { modules, what, count } => {
            instructions::repeat(&Files::prepare(&modules)?, what, count)
        }
    }
}
