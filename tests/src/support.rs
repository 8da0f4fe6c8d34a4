//! What many scenario bodies do: loading a fixture, and one whole cycle as a warm-up.

use std::path::{Path, PathBuf};

use relib::{ExportsHandle, LoadError, LoadOptions, Module, Unloaded};
use relib_harness::{Failure, Run};

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

/// Loads a file that must be refused, and returns why it was.
pub fn load_error<E: ExportsHandle>(path: &Path, options: &LoadOptions) -> Result<LoadError, Failure> {
    // SAFETY: the file is a fixture, or one that relib has to refuse without running it.
    match unsafe { options.load::<E>(path, ()) } {
        Ok(_) => Err(Failure::new(format!("{} was loaded", path.display()))),
        Err(error) => Ok(error),
    }
}

/// Writes a copy of a fixture as `name` into the scratch directory, after `change` has had its way with the bytes.
pub fn changed_copy(
    run: &Run,
    fixture: &str,
    name: &str,
    change: impl FnOnce(&mut Vec<u8>),
) -> Result<PathBuf, Failure> {
    let mut bytes = std::fs::read(run.fixture(fixture))?;
    change(&mut bytes);
    let path = run.scratch_dir().join(name);
    std::fs::write(&path, bytes)?;
    Ok(path)
}

/// Loads and unloads a fixture that imports nothing, so that what is set up once in a process is there, and then takes
/// the baseline: everything that the process holds more at the end of the scenario is a leak.
pub fn warm_up<E: ExportsHandle>(run: &mut Run, fixture: &str) -> Result<Unloaded, Failure> {
    let report = load::<E>(run, fixture)?.unload()?;
    run.baseline();
    Ok(report)
}
