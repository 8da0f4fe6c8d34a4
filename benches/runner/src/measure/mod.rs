//! The measurements. Both sides of a comparison take turns, so that what changes meanwhile changes for both.

mod allocations;
mod calls;
mod live_blocks;
mod loading;
mod many;
mod reloading;
mod turns;
#[cfg(feature = "wasmtime")]
mod wasm;

use anyhow::Result;

use crate::effort::Effort;
use crate::instructions;
use crate::peers::Files;
use crate::profile;
use crate::results::Results;

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
