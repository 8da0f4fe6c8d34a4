//! The tasks of this repository, run by `cargo xtask`.
//!
//! One file per subcommand; `report/` prints the results of the matrix, `runner.rs` builds what is run. xtask must not
//! depend on `relib`: it starts the runner executable and reads what it says, which keeps `cargo xtask` quick to build
//! and independent of whether relib compiles.

mod bench;
mod ci;
mod demo;
mod exit;
mod gen_support_table;
mod own_code;
mod report;
mod runner;
mod sanitizer;
mod soak;
mod test_matrix;
mod tidy;
mod windows;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The tasks of this repository")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure relib and its peers side by side, and write docs/BENCHMARKS.md
    Bench(bench::Arguments),
    /// Run everything that CI runs
    Ci(ci::Arguments),
    /// Show what relib does: load, call, leak, panic, unload and reload a module, step by step
    Demo(demo::Arguments),
    /// Run the scenarios, each in a process of its own, and compare the outcomes with the snapshots
    TestMatrix(test_matrix::Arguments),
    /// Install what a task needs beside Rust
    Setup(windows::Arguments),
    /// Check the rules of this repository that neither the compiler nor clippy knows
    Tidy(tidy::Arguments),
    /// Write the support table of README.md from the snapshots
    GenSupportTable(gen_support_table::Arguments),
    /// Reload a module thousands of times in one process, which must not grow
    Soak(soak::Arguments),
}

fn main() -> ExitCode {
    let result = match own_code::run_instead() {
        Ok(None) => run(Cli::parse().task),
        Ok(Some(code)) => Ok(code),
        Err(error) => Err(error),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        for cause in error.chain().skip(1) {
            eprintln!("caused by: {cause}");
        }
        ExitCode::from(exit::FAILED)
    })
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Ci(arguments) => ci::run(&arguments),
        Task::Setup(arguments) => windows::setup(&arguments),
        Task::Tidy(arguments) => tidy::run(&arguments),
        Task::Demo(arguments) => demo::run(&arguments),
        Task::TestMatrix(arguments) => test_matrix::run(&arguments),
        Task::GenSupportTable(arguments) => gen_support_table::run(&arguments),
        Task::Soak(arguments) => soak::run(&arguments),
    }
}
