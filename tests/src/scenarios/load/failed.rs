//! Loads that fail leave nothing behind that is in the way of the next ones.

use std::path::Path;

use fixture_interface::load::ModuleCounter;
use fixture_interface::mismatch::ModuleSignature;
use relib::LoadError;
use relib_harness::{Failure, Run};

use super::{FIXTURE, defaults, for_other_machine, next};
use crate::platform::{self, KEEPS_FAILED_LOADS, LIBRARY_EXTENSION, NEEDED_LIBRARY};
use crate::support::{leave_behind, load, load_error, observe_refusal, scratch_copy, variant, warm_up};

/// Replaces the only occurrence of `from` in the file.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let place = bytes.windows(from.len()).position(|window| window == from).expect("the text is there");
    bytes[place..place + to.len()].copy_from_slice(to);
    platform::seal(bytes);
}

/// A load that works after one that has failed.
fn load_good(run: &Run) -> Result<(), Failure> {
    let module = load::<ModuleCounter>(run, FIXTURE)?;
    run.check_eq("next after a failed load", next(&module)?, 1)?;
    module.unload()?;
    Ok(())
}

/// Loads a file that must be refused as before, in every way, and a good one after each.
fn refuse_again(run: &Run, path: &Path, error: &LoadError) -> Result<(), Failure> {
    load_good(run)?;
    // The path must not be blocked by the first time.
    for options in [defaults(), defaults().in_place(true)] {
        let again = load_error::<ModuleCounter>(path, &options)?;
        run.check_eq("error of the second time", variant(&again), variant(error))?;
        load_good(run)?;
    }
    Ok(())
}

pub(super) fn load_dependency_missing(run: &mut Run) -> Result<(), Failure> {
    leave_behind(run, FIXTURE, |run| {
        if KEEPS_FAILED_LOADS {
            load_good(run)?;
        } else {
            warm_up::<ModuleCounter>(run, FIXTURE)?;
        }
        let name = format!("libneeds{LIBRARY_EXTENSION}");
        let path =
            scratch_copy(run, FIXTURE, &name, |bytes| replace(bytes, NEEDED_LIBRARY.0, NEEDED_LIBRARY.1))?;
        let error = load_error::<ModuleCounter>(&path, &defaults())?;
        refuse_again(run, &path, &error)?;
        observe_refusal::<ModuleCounter>(run, "message", &path, &defaults())?;
        let is_mapped = platform::mappings_of(&name)? > 0;
        run.observe("mapped after the loads that failed", is_mapped);
        run.check_eq("mapped after the loads that failed", is_mapped, KEEPS_FAILED_LOADS)
    })
}

pub(super) fn load_failed_then_good(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    let scratch = run.scratch_dir().to_owned();
    std::fs::write(scratch.join("libtext.so"), "a text")?;
    std::fs::write(scratch.join("libempty.so"), "")?;
    scratch_copy(run, FIXTURE, "libcut.so", |bytes| bytes.truncate(5000))?;
    scratch_copy(run, FIXTURE, "libarm.so", |bytes| for_other_machine(bytes))?;
    scratch_copy(run, FIXTURE, "libdamaged.so", |bytes| {
        let place = platform::sensitive_place(bytes);
        bytes[place] ^= 1;
    })?;
    scratch_copy(run, FIXTURE, "libold.so", |bytes| replace(bytes, b"rustc 1.", b"rustc 0."))?;
    scratch_copy(run, FIXTURE, "librecord.so", |bytes| replace(bytes, b"RLB1", b"RLB0"))?;
    for (name, fixture) in platform::REFUSED_FIXTURES {
        scratch_copy(run, fixture, &format!("lib{name}.so"), |_| ())?;
    }

    let files = ["missing", "text", "empty", "cut", "arm", "damaged", "old", "record"];
    for file in files.into_iter().chain(platform::REFUSED_FIXTURES.iter().map(|(name, _)| *name)) {
        let path = scratch.join(format!("lib{file}.so"));
        let error = load_error::<ModuleCounter>(&path, &defaults())?;
        run.observe(file, variant(&error));
        refuse_again(run, &path, &error)?;
    }
    // Those whose messages no other scenario shows.
    let others = platform::REFUSED_FIXTURES.iter().map(|(name, _)| *name).filter(|name| *name != "abort");
    for file in ["damaged", "record"].into_iter().chain(others) {
        let path = scratch.join(format!("lib{file}.so"));
        observe_refusal::<ModuleCounter>(run, &format!("message for {file}"), path, &defaults())?;
    }
    observe_refusal::<ModuleCounter>(run, "directory", &scratch, &defaults())?;
    load_good(run)?;
    observe_refusal::<ModuleSignature>(run, "other interface", run.fixture(FIXTURE), &defaults())?;
    load_good(run)?;
    let nowhere = defaults().staging_directory(scratch.join("nowhere"));
    let error = load_error::<ModuleCounter>(&run.fixture(FIXTURE), &nowhere)?;
    run.observe("no place for the copy", format!("{}: {error}", variant(&error)));
    load_good(run)?;
    let loaded = load::<ModuleCounter>(run, FIXTURE)?;
    load_error::<ModuleCounter>(&run.fixture(FIXTURE), &defaults())?;
    loaded.unload()?;
    load_good(run)
}
