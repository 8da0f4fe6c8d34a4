//! What many scenario bodies do: loading a fixture, and one whole cycle as a warm-up.

use std::time::Duration;

use relib::{ExportsHandle, LoadOptions, Module, Unloaded};
use relib_harness::{Failure, Run};

/// For threads that are about to end: longer than a busy machine takes for that.
pub const SECONDS: Duration = Duration::from_secs(10);

/// Loads a fixture that imports nothing, with the default options.
pub fn load<E: ExportsHandle>(run: &Run, fixture: &str) -> Result<Module<E>, Failure> {
    load_with(run, fixture, &LoadOptions::new())
}

/// Loads a fixture that imports nothing.
pub fn load_with<E: ExportsHandle>(
    run: &Run,
    fixture: &str,
    options: &LoadOptions,
) -> Result<Module<E>, Failure> {
    // SAFETY: the fixtures are this repository's own code.
    Ok(unsafe { options.load(run.fixture(fixture), ())? })
}

/// Loads and unloads a fixture that imports nothing, so that what is set up once in a process is there, and then takes
/// the baseline: everything that the process holds more at the end of the scenario is a leak.
pub fn warm_up<E: ExportsHandle>(run: &mut Run, fixture: &str) -> Result<Unloaded, Failure> {
    let report = load::<E>(run, fixture)?.unload()?;
    run.baseline();
    Ok(report)
}
