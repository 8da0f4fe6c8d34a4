//! Sides that take turns, and what becomes of their samples.

use std::time::Instant;

use anyhow::Result;

use crate::results::{Row, Unit};

/// Has both sides take turns, the first one changing. Each returns nanoseconds.
pub fn alternate<const N: usize>(
    rounds: usize,
    sides: [&mut dyn FnMut() -> Result<f64>; N],
) -> Result<[f64; N]> {
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
pub fn timed<T>(body: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let start = Instant::now();
    let value = body()?;
    Ok((start.elapsed().as_nanos() as f64, value))
}

/// A comparison of times.
pub fn row(id: &'static str, what: &str, against: &str, ours: f64, theirs: f64, rounds: usize) -> Row {
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
