//! `cargo relib completions`: what a shell completes the command line by.

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::Cli;

#[derive(clap::Args)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    clap_complete::generate(arguments.shell, &mut Cli::command(), "cargo-relib", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
