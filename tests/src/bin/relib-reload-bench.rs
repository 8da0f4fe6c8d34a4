//! Measures the `Reloader`: the time from a whole file to the first call of its code, and what an idle reloader costs:
//! `relib-reload-bench MODULE [--swaps N]`. The module implements `fixture_interface::reload::Version`.
//! `test-modules/reload-version` is one; the library as `cargo xtask test-matrix` builds it is below `target/fixtures`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fixture_interface::reload::ModuleVersion;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use relib::{ReloadEvent, Reloader};
use relib_harness::{Failure, OrFail};
use relib_tests::support::another_build;

const USAGE: &str = "usage: relib-reload-bench MODULE [--swaps N]";
const EXIT_USAGE: u8 = 2;

/// For how long an idle reloader is watched.
const IDLE: Duration = Duration::from_secs(5);

/// How often a host with a tick polls.
const TICK: Duration = Duration::from_millis(16);

fn main() -> ExitCode {
    let Some((module, swaps)) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(EXIT_USAGE);
    };
    match bench(&module, swaps) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("failed: {}", failure.message());
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Option<(PathBuf, usize)> {
    let mut arguments = std::env::args().skip(1);
    let module = arguments.next()?;
    let swaps = match arguments.next() {
        None => 100,
        Some(flag) if flag == "--swaps" => arguments.next()?.parse().ok()?,
        Some(_) => return None,
    };
    Some((module.into(), swaps))
}

fn bench(module: &Path, swaps: usize) -> Result<(), Failure> {
    let library = std::fs::read(module)?;
    let directory = tempfile::tempdir()?;
    let (path, beside) = (directory.path().join("libmodule.so"), directory.path().join("beside.so"));
    std::fs::write(&path, &library)?;
    // SAFETY: the fixtures are this repository's own code.
    let mut reloader = unsafe { Reloader::<ModuleVersion>::start(&path, ())? };
    println!("module of {} KiB, {swaps} swaps", library.len() >> 10);

    let (mut to_call, mut in_swap) = (Vec::new(), Vec::new());
    for number in 0..swaps {
        std::fs::write(&beside, another_build(&library, number as u8 ^ 0x80)?)?;
        // Before the file is in its place: the threads that see it there may run before this one goes on.
        let complete = Instant::now();
        std::fs::rename(&beside, &path)?;
        let took = swapped(&mut reloader)?;
        reloader.exports().version().or_fail("version panicked")?;
        to_call.push(complete.elapsed());
        in_swap.push(took);
    }
    report("whole file to first call", to_call);
    report("of that, the host stands still", in_swap);

    let idle = |body: &mut dyn FnMut()| -> Result<f64, Failure> {
        let before = cpu_time()?;
        let begun = Instant::now();
        while begun.elapsed() < IDLE {
            body();
        }
        Ok((cpu_time()? - before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0)
    };
    println!("idle in `wait`: {:.3} % of a core", idle(&mut || _ = reloader.wait(IDLE))?);
    let ticks = idle(&mut || {
        std::thread::sleep(TICK);
        reloader.poll();
    })?;
    println!("idle with a poll every {} ms: {ticks:.3} % of a core", TICK.as_millis());
    reloader.unload()?;
    Ok(())
}

/// Waits until the new build is loaded; returns how long the swap itself took.
fn swapped(reloader: &mut Reloader<ModuleVersion>) -> Result<Duration, Failure> {
    loop {
        reloader.wait(Duration::from_secs(60)).then_some(()).or_fail("nothing has happened")?;
        for event in reloader.poll() {
            match event {
                ReloadEvent::Reloaded(reloaded) => return Ok(reloaded.took),
                ReloadEvent::Refused(error) => return Err(error.into()),
                _ => {}
            }
        }
    }
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{what}: median {:.2} ms, 95 % {:.2} ms, at most {:.2} ms", at(0.5), at(0.95), at(1.0));
}

/// Processor time of all threads of this process.
fn cpu_time() -> Result<Duration, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(micros.unsigned_abs()))
}
