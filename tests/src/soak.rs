//! A cycle with a bit of everything, and what a process may hold after thousands of them.

use std::path::Path;

use fixture_interface::reload::ModuleMixed;
use relib::LoadOptions;
use relib_harness::probe::{self, Probe};
use relib_harness::{Failure, OrFail};

use crate::platform::MAPPINGS_THAT_VARY;
use crate::support::load_file;

/// The fixture of [`cycle`].
pub const FIXTURE: &str = "mixed";

/// How many cycles it takes until everything that a process sets up once is there.
pub const WARM_UP: u64 = 100;

/// How many cycles [`probe()`] takes.
pub const SAMPLES: u64 = 40;

/// The fewest cycles that say anything: one between those that are looked at.
pub const FEWEST: u64 = WARM_UP + 2 * SAMPLES + 1;

/// How much the resident set may grow after the warm-up.
pub const RESIDENT_LIMIT: u64 = 1 << 20;

/// How much the host's heap may, in a process that was started with [`probe::ENVIRONMENT`].
pub const HEAP_LIMIT: u64 = 16 << 10;

/// Loads the fixture, has it work on this thread and on another, sometimes panic, and unloads it.
///
/// # Errors
/// When something goes wrong that should not.
pub fn cycle(path: &Path, seed: u64) -> Result<(), Failure> {
    let module = load_file::<ModuleMixed>(path, &LoadOptions::new(), ())?;
    let here = module.exports().work(seed).or_fail("work panicked")?;
    let there = std::thread::scope(|scope| scope.spawn(|| module.exports().work(seed)).join());
    let there = there.ok().flatten().or_fail("work panicked on another thread")?;
    if here != there {
        return Err(Failure::new(format!("two threads have got different results: {here}, {there}")));
    }
    if seed.is_multiple_of(8) {
        if module.exports().panic(seed).is_some() {
            return Err(Failure::new("panic has not panicked"));
        }
        let panic = module.last_panic().or_fail("the panic left no report")?;
        if panic.message != format!("as asked for by {seed}") {
            return Err(Failure::new(format!("the report is that of another panic: {}", panic.message)));
        }
    }
    let report = module.unload()?;
    if report.memory.blocks == 0 || report.mappings.is_empty() || report.keys == 0 {
        return Err(Failure::new(format!(
            "the unload should have reclaimed something of each kind: {report:?}"
        )));
    }
    Ok(())
}

/// Sets up what a process sets up once. Each of these cycles panics and every eighth takes backtraces, so that even the
/// rare work has been done on each of the thread stacks that the C library keeps for the next threads.
///
/// # Errors
/// As [`cycle`].
pub fn warm_up(path: &Path) -> Result<(), Failure> {
    probe::settle_memory()?;
    (0..WARM_UP).try_for_each(|n| cycle(path, n * 8))
}

/// What the process holds at its lowest within [`SAMPLES`] more cycles.
///
/// # Errors
/// As [`cycle`], and when the system does not tell.
pub fn probe(path: &Path) -> Result<Probe, Failure> {
    Probe::lowest(SAMPLES, |round| cycle(path, round + 1))
}

/// What a process holds more than after the warm-up, or has lost since; empty if all is as it was.
pub fn growth(before: &Probe, after: &Probe) -> Vec<String> {
    // What is taken apart and put together by the system may also become fewer.
    let varies = 0..=MAPPINGS_THAT_VARY;
    let stays = varies.contains(&after.mappings.saturating_sub(before.mappings));
    let mappings = if stays { before.mappings } else { after.mappings };
    let counts = [
        ("mappings", before.mappings, mappings),
        ("descriptors", before.descriptors.len(), after.descriptors.len()),
        ("threads", before.threads.len(), after.threads.len()),
        ("free pthread keys", before.free_pthread_keys, after.free_pthread_keys),
    ];
    let mut growth: Vec<String> = counts
        .into_iter()
        .filter(|(_, before, after)| before != after)
        .map(|(what, before, after)| format!("{what}: {before} before, {after} after"))
        .collect();
    let resident = after.resident.saturating_sub(before.resident);
    if resident >= RESIDENT_LIMIT {
        growth.push(format!("resident set: {} KiB more", resident >> 10));
    }
    let heap = after.heap.saturating_sub(before.heap);
    if heap >= HEAP_LIMIT {
        growth.push(format!("host heap: {} KiB more", heap >> 10));
    }
    growth
}
