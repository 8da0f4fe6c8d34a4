//! Calls across the boundary.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::turns::{alternate, row};
use crate::effort::Effort;
use crate::peers::{self, Files, Plain};
use crate::results::Results;

/// Calls in one turn.
const CALLS: u64 = 20_000;
/// Calls in one turn where each allocates.
const TEXTS: u64 = 2_000;
/// What is made upper case.
pub const TEXT: &str = "hello, world";

pub fn measure(files: &Files, effort: &Effort, results: &mut Results) -> Result<()> {
    let module = peers::load_in_place(&files.module)?;
    let plain = Plain::load(&files.plain)?;
    let upstream = peers::load_upstream(&files.upstream)?;
    // SAFETY: the types are those of the functions in `plain`.
    let add = unsafe { plain.function::<extern "C" fn(u64, u64) -> u64>("bench_add")? };
    let exports = module.exports();

    let mut ours = || per_call(CALLS, |sum, i| exports.add(sum, i).context("the module panicked"));
    let mut theirs = || per_call(CALLS, |sum, i| Ok(add(sum, i)));
    let mut upstreams = || {
        per_call(CALLS, |sum, i| {
            // SAFETY: both sides were built from the same trait.
            unsafe { upstream.exports().add(sum, i) }.context("upstream's module panicked")
        })
    };
    let [ours, theirs, upstreams] = alternate(effort.rounds, [&mut ours, &mut theirs, &mut upstreams])?;
    let what = "export call, u64 in and out";
    results.rows.push(row("call-u64", what, "call through a libloading symbol", ours, theirs, effort.rounds));
    results.rows.push(row("call-u64-upstream", what, "upstream", ours, upstreams, effort.rounds));

    let mut ours = || {
        per_call(TEXTS, |sum, _| {
            let text = exports.text(black_box(TEXT)).context("the module panicked")?;
            Ok(sum + black_box(text).len() as u64)
        })
    };
    let mut own =
        || per_call(TEXTS, |sum, _| Ok(sum + black_box(workload::text(black_box(TEXT))).len() as u64));
    let [ours, own] = alternate(effort.rounds, [&mut ours, &mut own])?;
    results.rows.push(row(
        "call-text",
        "export call with a `&str` in and a `String` out",
        "the same in one binary",
        ours,
        own,
        effort.rounds,
    ));
    peers::unload_upstream(upstream)?;
    peers::unload(module)?;
    plain.close()
}

/// Nanoseconds of one call of many, each of which gets the result of the one before.
pub fn per_call(calls: u64, mut call: impl FnMut(u64, u64) -> Result<u64>) -> Result<f64> {
    let start = Instant::now();
    let mut sum = 0;
    for i in 0..calls {
        sum = call(black_box(sum), i)?;
    }
    black_box(sum);
    Ok(start.elapsed().as_nanos() as f64 / calls as f64)
}
