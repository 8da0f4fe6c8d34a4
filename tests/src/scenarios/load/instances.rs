//! How many instances of a file there may be: one, separate ones, one that stays, or one of many attempts.

use std::sync::Barrier;

use fixture_interface::load::ModuleCounter;
use relib::{LoadError, Module};
use relib_harness::{Failure, Run};

use super::{FIXTURE, defaults, next};
use crate::platform::symlink;
use crate::support::{
    allow_for_threads, load, load_file, load_with, observe_refusal, refused, scratch_copy, warm_up,
};

pub(super) fn load_twice(run: &mut Run) -> Result<(), Failure> {
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

pub(super) fn load_permanent(run: &mut Run) -> Result<(), Failure> {
    let module = load_with::<ModuleCounter>(run, FIXTURE, &defaults().permanent())?;
    run.check_eq("first", next(&module)?, 1)?;
    let copies = std::fs::read_dir(run.temp_dir())?.count();
    run.check_eq("private copies", copies, 0)?;
    let (error, module) = refused(module)?;
    run.observe("unloading it", error);
    run.check_eq("after that", next(&module)?, 2)?;
    observe_refusal::<ModuleCounter>(run, "loading it again", run.fixture(FIXTURE), &defaults())
}

pub(super) fn load_parallel(run: &mut Run) -> Result<(), Failure> {
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
