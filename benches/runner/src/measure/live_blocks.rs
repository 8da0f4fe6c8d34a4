//! Unloading a module that has not freed what it allocated.

use std::cell::Cell;

use anyhow::{Context as _, Result};

use super::turns::{alternate, median, row, timed};
use crate::effort::Effort;
use crate::machine::resident_memory;
use crate::peers::{self, Files};
use crate::results::{Note, Results, Series, Unit};

pub fn measure(files: &Files, effort: &Effort, results: &mut Results) -> Result<()> {
    let million = effort.live_blocks.min(1_000_000);
    let left = Cell::new(Vec::new());
    let mut ours = || {
        let before = resident_memory();
        let time = unload_with(files, million)?;
        let mut all = left.take();
        all.push(resident_memory() - before);
        left.set(all);
        Ok(time)
    };
    let mut theirs = || {
        let module = peers::load_upstream(&files.upstream)?;
        // SAFETY: both sides were built from the same trait.
        unsafe { module.exports().leak(million) }.context("upstream's module panicked")?;
        Ok(timed(|| peers::unload_upstream(module))?.0)
    };
    let rounds = effort.long_rounds;
    let [ours, theirs] = alternate(rounds, [&mut ours, &mut theirs])?;
    let what = format!("unload with {million} live blocks");
    results.rows.push(row("unload-live", &what, "upstream", ours, theirs, rounds));
    // The first turn also takes what is taken once in a process.
    let mut left = left.into_inner();
    left.remove(0);
    results.notes.push(Note {
        what: format!("resident memory after {what}, above that before the load, at most"),
        unit: Unit::Bytes,
        value: left.into_iter().fold(f64::MIN, f64::max),
    });

    const REPEATS: usize = 5;
    let mut points = Vec::new();
    let mut blocks = 1_000;
    while blocks <= effort.live_blocks {
        let times = (0..REPEATS).map(|_| unload_with(files, blocks)).collect::<Result<Vec<_>>>()?;
        points.push((blocks as f64, median(times)));
        blocks *= 10;
    }
    results.series.push(Series {
        id: "unload-live-blocks",
        title: "Unload as live blocks grow",
        x: "live blocks",
        y: "unload",
        unit: Unit::Nanoseconds,
        lines: vec![("relib", points)],
    });
    Ok(())
}

/// Nanoseconds of an unload with so many live blocks.
fn unload_with(files: &Files, blocks: u64) -> Result<f64> {
    let module = peers::load_in_place(&files.module)?;
    module.exports().leak(blocks).context("the module panicked")?;
    let (time, unloaded) = timed(|| peers::unload(module))?;
    anyhow::ensure!(unloaded.memory.blocks as u64 >= blocks, "the module has not leaked what it should have");
    Ok(time)
}
