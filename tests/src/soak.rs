//! A cycle with a bit of everything, and what a process may hold after thousands of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use fixture_interface::reload::ModuleMixed;
use relib::LoadOptions;
use relib_harness::probe::Probe;
use relib_harness::scenario::is_sanitized;
use relib_harness::{Failure, OrFail};

use crate::support::load_file;

/// The fixture of [`cycle`].
pub const FIXTURE: &str = "mixed";

/// How many cycles it takes until everything that a process sets up once is there.
pub const WARM_UP: u64 = 100;

/// How many cycles [`probe`] takes.
pub const SAMPLES: u64 = 40;

/// The fewest cycles that say anything: one between those that are looked at.
pub const FEWEST: u64 = WARM_UP + 2 * SAMPLES + 1;

/// How much the resident set may grow after the warm-up.
pub const RESIDENT_LIMIT: u64 = 1 << 20;

/// How much the host's heap may. What glibc keeps for a thread counts as in use, and can come to 7 blocks of each of 64
/// sizes: 231 KiB.
pub const HEAP_LIMIT: u64 = 256 << 10;

/// Has the resident set and the mappings show what is in use, and not what the system rounds it up to.
///
/// With transparent huge pages one touched byte can be 2 MiB of the resident set, and which bytes share such a page
/// differs from cycle to cycle: the resident set then needs some hundred cycles to come to its level (measured: 3.3 MiB
/// higher, and flat from there). How many arenas the C library makes, each with mappings of its own, depends on which of
/// the threads happen to allocate at the same time.
fn settle_memory() -> Result<(), Failure> {
    // SAFETY: sets a number of the process.
    if unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) } != 0 {
        return Err(
            Failure::from(io::Error::last_os_error()).context("cannot disable transparent huge pages")
        );
    }
    // SAFETY: sets a number of the allocator.
    let settled = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) } == 1;
    // A sanitizer's allocator, which has no arenas, says that it cannot.
    if settled || is_sanitized() { Ok(()) } else { Err(Failure::new("cannot set the number of arenas")) }
}

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
    settle_memory()?;
    (0..WARM_UP).try_for_each(|n| cycle(path, n * 8))
}

/// The least of everything that the process holds within [`SAMPLES`] more cycles. How much of the allocators' caches is
/// resident at one moment differs by some MiB, and a thread that has just ended may still be listed; what has leaked is
/// there at each.
///
/// # Errors
/// As [`cycle`], and when the system does not tell.
pub fn probe(path: &Path) -> Result<Probe, Failure> {
    let mut lowest: Option<Probe> = None;
    for seed in 1..=SAMPLES {
        cycle(path, seed)?;
        let probe = Probe::take()?;
        lowest = Some(match lowest {
            None => probe,
            Some(lowest) => least(lowest, probe),
        });
    }
    lowest.or_fail("there should be a sample")
}

/// The lesser of everything that two probes have found. A key in use is one that is not free.
fn least(a: Probe, b: Probe) -> Probe {
    fn shorter<T: IntoIterator>(a: T, b: T, len: impl Fn(&T) -> usize) -> T {
        if len(&b) < len(&a) { b } else { a }
    }
    Probe {
        threads: shorter(a.threads, b.threads, BTreeMap::len),
        descriptors: shorter(a.descriptors, b.descriptors, Vec::len),
        mapped_files: shorter(a.mapped_files, b.mapped_files, BTreeSet::len),
        mappings: a.mappings.min(b.mappings),
        free_pthread_keys: a.free_pthread_keys.max(b.free_pthread_keys),
        resident: a.resident.min(b.resident),
        heap: a.heap.min(b.heap),
    }
}

/// What a process holds more than after the warm-up, or has lost since; empty if all is as it was.
pub fn growth(before: &Probe, after: &Probe) -> Vec<String> {
    // What is taken apart and put together by the system may also become fewer.
    let mappings = after.mappings.max(before.mappings);
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
