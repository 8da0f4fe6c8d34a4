//! Reloads a module thousands of times in one process, and fails if the process holds more afterwards than soon after
//! its start. `cargo xtask soak` builds and runs it.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use relib_harness::Failure;
use relib_tests::soak;

/// Reloads a module many times in this process, which must not grow
#[derive(Parser)]
struct Arguments {
    /// The library of the fixture `mixed`
    module: PathBuf,
    /// How often it is loaded and unloaded in all
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(soak::FEWEST..))]
    cycles: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match soak(&arguments.module, arguments.cycles) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            println!("failed: {}", failure.message());
            ExitCode::FAILURE
        }
    }
}

/// Whether the process is as it was after the warm-up.
fn soak(module: &Path, cycles: u64) -> Result<bool, Failure> {
    let start = Instant::now();
    let (first, last) = (soak::WARM_UP + soak::SAMPLES, cycles - soak::SAMPLES);
    soak::warm_up(module)?;
    let before = soak::probe(module)?;
    for n in first..last {
        soak::cycle(module, n).map_err(|failure| failure.context(format!("cycle {n}")))?;
        if n.is_multiple_of(100) && std::io::stdout().is_terminal() {
            print!("\r{n} of {cycles} cycles");
            std::io::stdout().flush()?;
        }
    }
    let after = soak::probe(module)?;
    if std::io::stdout().is_terminal() {
        print!("\r");
    }

    println!("{cycles} cycles in {:.1} s", start.elapsed().as_secs_f64());
    let (early, late) = (format!("{} to {first}", soak::WARM_UP + 1), format!("{} to {cycles}", last + 1));
    println!("{:<20} {early:>16} {late:>16}", "the least in cycles");
    let row = |what: &str, before: u64, after: u64| println!("{what:<20} {before:>16} {after:>16}");
    row("resident set, KiB", before.resident >> 10, after.resident >> 10);
    row("host heap, KiB", before.heap >> 10, after.heap >> 10);
    row("mappings", before.mappings as u64, after.mappings as u64);
    row("descriptors", before.descriptors.len() as u64, after.descriptors.len() as u64);
    row("threads", before.threads.len() as u64, after.threads.len() as u64);
    row("free pthread keys", before.free_pthread_keys as u64, after.free_pthread_keys as u64);
    let growth = soak::growth(&before, &after);
    for line in &growth {
        println!("grown: {line}");
    }
    println!("{}", if growth.is_empty() { "nothing has grown" } else { "the process has grown" });
    Ok(growth.is_empty())
}
