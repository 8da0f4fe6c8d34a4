//! The measurements. Both sides of a comparison take turns, so that what changes meanwhile changes for both.

mod allocations;
mod calls;
mod live_blocks;
mod loading;
mod many;
mod reloading;
#[cfg(feature = "wasmtime")]
mod wasm;

use std::time::Instant;

use anyhow::Result;

use crate::instructions;
use crate::peers::Files;
use crate::profile;
use crate::results::{Results, Row, Unit};

/// How much is done.
pub struct Effort {
    /// Turns of each side.
    pub rounds: usize,
    /// Turns where one takes many milliseconds, or for one of the peers seconds.
    pub long_rounds: usize,
    /// The largest number of live blocks.
    pub live_blocks: u64,
}

impl Effort {
    /// For the report.
    pub const FULL: Self = Self { rounds: 400, long_rounds: 200, live_blocks: 10_000_000 };
    /// To see that everything works.
    pub const QUICK: Self = Self { rounds: 20, long_rounds: 3, live_blocks: 100_000 };
}

/// Measures a few of the rows.
type Part = fn(&Files, &Effort, &mut Results) -> Result<()>;

/// All measurements, or those whose names contain `only`.
pub fn everything(files: &Files, effort: &Effort, only: &str) -> Result<Results> {
    let mut results = Results::default();
    let parts: &[(&str, Part)] = &[
        ("loading and unloading", loading::measure),
        ("calls", calls::measure),
        ("allocations", allocations::measure),
        ("live blocks", live_blocks::measure),
        ("many modules", many::measure),
        ("reloading", reloading::measure),
        ("instructions", instructions::measure),
        ("the profile of a load", profile::measure),
        #[cfg(feature = "wasmtime")]
        ("wasmtime", wasm::measure),
    ];
    for (name, measure) in parts.iter().filter(|(name, _)| name.contains(only)) {
        eprintln!("measuring {name}");
        measure(files, effort, &mut results)?;
    }
    Ok(results)
}

/// Has both sides take turns, the first one changing. Each returns nanoseconds.
fn alternate<const N: usize>(rounds: usize, sides: [&mut dyn FnMut() -> Result<f64>; N]) -> Result<[f64; N]> {
    const WARM_UP: usize = 2;
    let mut samples: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(rounds));
    for round in 0..rounds + WARM_UP {
        for turn in 0..N {
            let side = (round + turn) % N;
            let sample = sides[side]()?;
            if round >= WARM_UP {
                samples[side].push(sample);
            }
        }
    }
    Ok(samples.map(median))
}

/// The median.
pub fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    if samples.len() % 2 == 1 { samples[middle] } else { (samples[middle - 1] + samples[middle]) / 2.0 }
}

/// Runs `body` and returns nanoseconds with what it returned.
fn timed<T>(body: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let start = Instant::now();
    let value = body()?;
    Ok((start.elapsed().as_nanos() as f64, value))
}

/// A comparison of times.
fn row(id: &'static str, what: &str, against: &str, ours: f64, theirs: f64, rounds: usize) -> Row {
    Row {
        id,
        what: what.to_owned(),
        against: against.to_owned(),
        unit: Unit::Nanoseconds,
        ours,
        theirs,
        rounds,
    }
}
