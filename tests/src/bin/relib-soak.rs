//! Reloads a module thousands of times in one process, and fails if the process holds more afterwards than soon after
//! its start: `relib-soak MODULE [--cycles N]`. `cargo xtask soak` builds and runs it.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use relib_harness::Failure;
use relib_tests::soak;

const USAGE: &str = "usage: relib-soak MODULE [--cycles N]";
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let Some((module, cycles)) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(EXIT_USAGE);
    };
    match soak(&module, cycles) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            println!("failed: {}", failure.message());
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Option<(PathBuf, u64)> {
    let mut arguments = std::env::args().skip(1);
    let module = arguments.next()?;
    let cycles = match arguments.next() {
        None => 10_000,
        Some(flag) if flag == "--cycles" => arguments.next()?.parse().ok()?,
        Some(_) => return None,
    };
    Some((module.into(), cycles))
}

/// Whether the process is as it was after the warm-up.
fn soak(module: &Path, cycles: u64) -> Result<bool, Failure> {
    let start = Instant::now();
    let warm_up = soak::WARM_UP;
    soak::warm_up(module)?;
    let before = soak::probe(module)?;
    for n in warm_up..cycles {
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
    println!("{:<20} {:>12} {:>12}", "", format!("after {warm_up}"), format!("after {cycles}"));
    let row = |what: &str, before: u64, after: u64| println!("{what:<20} {before:>12} {after:>12}");
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
