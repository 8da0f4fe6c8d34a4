//! Modules of another build: of another compiler, relib or target.

use std::path::{Path, PathBuf};

use fixture_interface::load::ModuleCounter;
use relib::{LoadError, LoadOptions};
use relib_harness::{Failure, Run};

use super::{FIXTURE, defaults};
use crate::platform::{self, OTHER_TARGET};
use crate::support::{TRACE, load_error, scratch_copy, warm_up};

/// A copy of a fixture whose metadata has `to` instead of `from`, which is there once.
fn with_other_metadata(run: &Run, fixture: &str, from: &[u8], to: &[u8]) -> Result<PathBuf, Failure> {
    let mut found = 0;
    let path = scratch_copy(run, fixture, "libother.so", |bytes| {
        let metadata = platform::section(bytes, ".relib").expect("the fixture has metadata");
        for start in metadata {
            if bytes[start..].starts_with(from) {
                bytes[start..start + to.len()].copy_from_slice(to);
                found += 1;
            }
        }
        platform::seal(bytes);
    })?;
    run.check_eq("places in the metadata", found, 1)?;
    Ok(path)
}

/// Refuses a copy of the fixture in whose build record `from` was replaced by `to`, without running its constructor.
fn observe_other_build(run: &mut Run, from: &[u8], to: &[u8]) -> Result<(), Failure> {
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    run.check(std::fs::remove_file(TRACE).is_ok(), "a constructor that ran left no trace")?;
    let path = with_other_metadata(run, FIXTURE, from, to)?;
    let error = load_error::<ModuleCounter>(&path, &defaults())?;
    let LoadError::BuildMismatch { host, module, .. } = &error else {
        return Err(error.into());
    };
    run.check(host != module && host.len() == module.len(), "the error does not name both sides")?;
    // The compiler's version would have to be accepted anew with each compiler.
    let text = error.to_string();
    let text = match host.starts_with("rustc ") {
        true => text.replace(host, "<compiler of the host>").replace(module, "<compiler of the module>"),
        false => text,
    };
    run.observe("error", text);
    run.check(!std::fs::exists(TRACE)?, "the module's constructor ran")
}

/// What a compiler calls itself, and what none does.
const OTHER_RUSTC: (&[u8], &[u8]) = (b"rustc 1.", b"rustc 0.");

pub(super) fn load_other_rustc(run: &mut Run) -> Result<(), Failure> {
    observe_other_build(run, OTHER_RUSTC.0, OTHER_RUSTC.1)
}

/// Without its imports a module of another compiler is loaded; but nothing of it may cross.
pub(super) fn load_unconnected(run: &mut Run) -> Result<(), Failure> {
    const MAIN: &str = "import-twice";
    let own = run.fixture(MAIN);
    let other = with_other_metadata(run, MAIN, OTHER_RUSTC.0, OTHER_RUSTC.1)?;
    let load = |path: &Path| {
        // SAFETY: the fixture is our own.
        unsafe { LoadOptions::new().load_unconnected(path) }
    };
    load(&own)?.unload()?;
    run.baseline();
    for (compiler, path) in [("the host's", &own), ("another", &other)] {
        let module = load(path)?;
        let returned = module.try_call_main::<(String, String)>().map(|_| "a value");
        let text = returned.map_or_else(|error| error.to_string(), str::to_owned);
        run.observe(&format!("main of {compiler}"), text);
        run.observe(&format!("main of {compiler}, dropped"), format!("{:?}", module.run_main()));
        run.check(module.save_state()?.is_none(), "there is no state")?;
        module.unload()?;
    }
    let module = load(&{
        let (from, to) = OTHER_RUSTC;
        with_other_metadata(run, "reload-saved", from, to)?
    })?;
    run.check(module.save_state()?.is_none(), "state was saved by another compiler")?;
    module.unload()?;
    Ok(())
}

pub(super) fn load_other_relib(run: &mut Run) -> Result<(), Failure> {
    // The length and the text of relib's version; that of the contract stays as it is.
    observe_other_build(run, b"\x05\0\0\x000.1.0", b"\x05\0\0\x000.9.9")
}

pub(super) fn load_other_target(run: &mut Run) -> Result<(), Failure> {
    let (from, to) = OTHER_TARGET;
    observe_other_build(run, from, to)
}
