//! `cargo relib`: makes projects of reloadable modules, runs them while they are edited, and says of a module's file what
//! it is and whether it can be reloaded safely.
//!
//! One file or folder per subcommand; this one only parses the command line. What the subcommands have in common, exit
//! codes and the way things are printed, stands in `exit.rs` and `console.rs`. How modules are loaded is `relib`'s
//! business, how processes are contained and measured `relib_harness`'s.

mod check;
mod completions;
mod console;
mod dev;
mod exit;
mod inspect;
mod new;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::builder::Styles;
use clap::{CommandFactory as _, Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo relib",
    bin_name = "cargo relib",
    version,
    about = "Make, run, inspect and check reloadable modules",
    styles = STYLES
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const STYLES: Styles = Styles::styled()
    .header(console::GOOD)
    .usage(console::GOOD)
    .literal(console::NAME)
    .placeholder(console::FAINT);

#[derive(Subcommand)]
enum Command {
    /// Make a project with a host and a module that can be reloaded
    New(new::Arguments),
    /// Build host and module, run the host, and build again when a source changes
    Dev(dev::Arguments),
    /// Print what the file of a module says of itself, without loading it
    Inspect(inspect::Arguments),
    /// Find out whether a module can be reloaded safely, by doing it in contained processes
    Check(check::Arguments),
    /// Print the completions for a shell
    Completions(completions::Arguments),
}

fn main() -> ExitCode {
    run(arguments()).unwrap_or_else(|error| {
        console::error(&error);
        ExitCode::from(exit::ERROR)
    })
}

fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    // For this program itself, which starts its workers by that: neither the help nor the completions show it.
    if arguments.get(1).is_some_and(|argument| argument == check::WORKER) {
        return check::work(&check::WorkerArguments::parse_from(&arguments[1..]));
    }
    match Cli::parse_from(arguments).command {
        Command::New(arguments) => new::run(&arguments),
        Command::Dev(arguments) => dev::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, Cli::command()),
    }
}

/// The command line without the name of the subcommand, which cargo passes on: `cargo-relib relib new game`.
fn arguments() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|argument| argument == "relib") {
        arguments.remove(1);
    }
    arguments
}
