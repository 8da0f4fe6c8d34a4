//! `cargo relib completions`: what a shell completes the command line by.

use std::process::ExitCode;

use anyhow::Result;
use clap_complete::Shell;

#[derive(clap::Args)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints what completes `command`.
pub fn run(arguments: &Arguments, mut command: clap::Command) -> Result<ExitCode> {
    clap_complete::generate(arguments.shell, &mut command, "cargo-relib", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
