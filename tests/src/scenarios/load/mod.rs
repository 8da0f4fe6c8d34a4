//! Scenarios of the feature "Load checks".

use std::sync::Barrier;

use fixture_interface::load::ModuleCounter;
use relib::{LoadError, LoadOptions, Module};
use relib_harness::{Failure, Feature, OrFail, Run, Scenario};

use crate::platform::{self, symlink};
use crate::support::{
    allow_for_threads, load, load_file, load_with, observe_refusal, refused, scratch_copy, warm_up,
};

mod builds;
mod damaged;
mod failed;
mod paths;
mod replaced;

use builds::{load_other_relib, load_other_rustc, load_other_target, load_unconnected};
use damaged::{load_c_library, load_empty, load_mutated, load_other_machine, load_text, load_truncated};
use failed::{load_dependency_missing, load_failed_then_good};
use paths::{
    load_bare_name, load_directory, load_linked_library, load_long_path, load_missing, load_relative,
    load_symlink, load_unicode_folder, load_unicode_path,
};
use replaced::{load_changed, load_in_place_locked, load_replaced_in_place, load_replaced_meanwhile};

/// The scenarios, in the order of the catalogue.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("load-missing", Feature::Load, load_missing),
    Scenario::new("load-directory", Feature::Load, load_directory),
    Scenario::new("load-text", Feature::Load, load_text),
    Scenario::new("load-empty", Feature::Load, load_empty),
    Scenario::new("load-c-library", Feature::Load, load_c_library),
    Scenario::new("load-other-machine", Feature::Load, load_other_machine),
    // Some thousand loads.
    Scenario::new("load-truncated", Feature::Load, load_truncated).time_limit_secs(1200),
    // Each of the 20,000 mutations that `test-matrix --mutations` may ask for takes some milliseconds.
    Scenario::new("load-mutated", Feature::Load, load_mutated).time_limit_secs(1200),
    Scenario::new("load-other-rustc", Feature::Load, load_other_rustc),
    Scenario::new("load-unconnected", Feature::Load, load_unconnected),
    Scenario::new("load-other-relib", Feature::Load, load_other_relib),
    Scenario::new("load-other-target", Feature::Load, load_other_target),
    Scenario::new("load-twice", Feature::Load, load_twice),
    Scenario::new("load-permanent", Feature::Load, load_permanent).leaves("the module, which is permanent"),
    Scenario::new("load-replaced-in-place", Feature::Load, load_replaced_in_place),
    Scenario::new("load-replaced-meanwhile", Feature::Load, load_replaced_meanwhile),
    Scenario::new("load-changed", Feature::Load, load_changed),
    Scenario::new("load-failed-then-good", Feature::Load, load_failed_then_good),
    Scenario::new("load-dependency-missing", Feature::Load, load_dependency_missing).leaves(
        "under Wine: the image that could not be loaded, which Wine keeps mapped without relib as well",
    ),
    Scenario::new("load-parallel", Feature::Load, load_parallel),
    Scenario::new("load-symlink", Feature::Load, load_symlink)
        .linux_only("Windows asks for a right to make links that few have, and Wine makes none"),
    Scenario::new("load-relative", Feature::Load, load_relative),
    Scenario::new("load-unicode-path", Feature::Load, load_unicode_path),
    Scenario::new("load-unicode-folder", Feature::Load, load_unicode_folder),
    Scenario::new("load-long-path", Feature::Load, load_long_path),
    Scenario::new("load-bare-name", Feature::Load, load_bare_name),
    Scenario::new("load-linked-library", Feature::Load, load_linked_library).windows_only(
        "elsewhere a file says in which folders its libraries are, and names them by absolute paths",
    ),
    Scenario::new("load-in-place-locked", Feature::Load, load_in_place_locked).windows_only(
        "elsewhere the system lets anybody change or delete the file of a library that is loaded",
    ),
];

/// The fixture of most scenarios: leaves a trace when its constructor runs, and counts.
const FIXTURE: &str = "load-constructor";

fn defaults() -> LoadOptions {
    LoadOptions::new()
}

fn for_other_machine(bytes: &mut [u8]) {
    let (place, machine) = platform::machine_place(bytes);
    bytes[place..place + 2].copy_from_slice(&machine.to_le_bytes());
}

fn next(module: &Module<ModuleCounter>) -> Result<u64, Failure> {
    module.exports().next().or_fail("next panicked")
}

fn load_twice(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    let first = load::<ModuleCounter>(run, FIXTURE)?;
    run.check_eq("first", next(&first)?, 1)?;
    observe_refusal::<ModuleCounter>(run, "by default", run.fixture(FIXTURE), &defaults())?;
    observe_refusal::<ModuleCounter>(run, "in place", run.fixture(FIXTURE), &defaults().in_place(true))?;
    // Files are told apart by what they are, not by their paths; they must be on one file system for a hard link.
    let link = run.scratch_dir().join("liblink.so");
    if symlink(run.fixture(FIXTURE), &link)? {
        observe_refusal::<ModuleCounter>(run, "by a link", &link, &defaults())?;
    }
    let copy = scratch_copy(run, FIXTURE, "libcopy.so", |_| ())?;
    let hard = run.scratch_dir().join("libhard.so");
    std::fs::hard_link(&copy, &hard)?;
    let of_copy = load_file::<ModuleCounter>(&copy, &defaults(), ())?;
    observe_refusal::<ModuleCounter>(run, "by a hard link", &hard, &defaults())?;
    run.check_eq("a copy", next(&of_copy)?, 1)?;
    of_copy.unload()?;

    let separate = defaults().separate_instance(true);
    let second = load_with::<ModuleCounter>(run, FIXTURE, &separate)?;
    let third = load_with::<ModuleCounter>(run, FIXTURE, &separate)?;
    run.check_eq("second", next(&second)?, 1)?;
    run.check_eq("first again", next(&first)?, 2)?;
    run.check_eq("second again", next(&second)?, 2)?;
    run.check_eq("third", next(&third)?, 1)?;
    first.unload()?;
    run.check_eq("second without the first", next(&second)?, 3)?;
    // The instances that are left were loaded in a way that does not exclude others.
    let fourth = load::<ModuleCounter>(run, FIXTURE)?;
    run.check_eq("fourth", next(&fourth)?, 1)?;
    fourth.unload()?;
    second.unload()?;
    third.unload()?;
    Ok(())
}

fn load_permanent(run: &mut Run) -> Result<(), Failure> {
    let module = load_with::<ModuleCounter>(run, FIXTURE, &defaults().permanent())?;
    run.check_eq("first", next(&module)?, 1)?;
    let copies = std::fs::read_dir(run.temp_dir())?.count();
    run.check_eq("private copies", copies, 0)?;
    let (error, module) = refused(module)?;
    run.observe("unloading it", error);
    run.check_eq("after that", next(&module)?, 2)?;
    observe_refusal::<ModuleCounter>(run, "loading it again", run.fixture(FIXTURE), &defaults())
}

fn load_parallel(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    const THREADS: usize = 300;
    const ROUNDS: usize = 5;
    let path = run.fixture(FIXTURE);
    let round = |run: &Run| -> Result<(), Failure> {
        let start = Barrier::new(THREADS);
        // SAFETY: the fixture is this repository's own code.
        let attempt = || unsafe {
            start.wait();
            relib::load_module::<ModuleCounter>(&path, ())
        };
        let attempts: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(attempt)).collect();
            threads.into_iter().map(|thread| thread.join().expect("a load does not panic")).collect()
        });
        let (modules, errors): (Vec<_>, Vec<_>) = attempts.into_iter().partition(Result::is_ok);
        let other = errors
            .into_iter()
            .filter_map(Result::err)
            .find(|error| !matches!(error, LoadError::ModuleAlreadyLoaded { .. }));
        run.check(other.is_none(), format!("another error: {other:?}"))?;
        let [module] = <[Module<_>; 1]>::try_from(modules.into_iter().flatten().collect::<Vec<_>>())
            .map_err(|modules| Failure::new(format!("{} threads loaded the module", modules.len())))?;
        run.check_eq("next", next(&module)?, 1)?;
        module.unload()?;
        Ok(())
    };
    round(run)?;
    run.baseline();
    for _ in 0..ROUNDS {
        round(run)?;
    }
    run.observe("threads", THREADS);
    run.observe("winners in each round", 1);
    Ok(())
}
