//! Scenarios of the feature "Final unload check".

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use fixture_interface::load::ModuleCounter;
use fixture_interface::unload::{ModuleEarly, ModuleKeeper, ModuleObstacles, ModuleStages};
use relib::{LoadOptions, Module, Unloaded};
use relib_harness::{Failure, Feature, OrFail, Run, Scenario};

use crate::platform::{close_image, mappings_of, open_image};
use crate::support::{
    EventLog, allow_for_threads, file_name, leave_behind, load, load_error, load_file, load_with, reason,
    refused, take_events, warm_up,
};

/// The scenarios, in the order of the catalogue.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("unload-clean", Feature::Unload, unload_clean),
    Scenario::new("unload-other-thread", Feature::Unload, unload_other_thread),
    // More than 60 seconds were measured in debug under Wine.
    Scenario::new("unload-ten-parallel", Feature::Unload, unload_ten_parallel).time_limit_secs(300),
    Scenario::new("unload-nodelete", Feature::Unload, unload_nodelete)
        .linux_only("no mark in a PE file keeps Windows from unmapping it"),
    Scenario::new("unload-unique-symbol", Feature::Unload, unload_unique_symbol).linux_only(
        "Windows binds imports to one library each and has no symbols that are unique in a process",
    ),
    Scenario::new("unload-second-handle", Feature::Unload, unload_second_handle),
    Scenario::new("unload-held-elsewhere", Feature::Unload, unload_held_elsewhere),
    Scenario::new("unload-early-thread-local", Feature::Unload, unload_early_thread_local)
        .linux_only("on Windows the image itself runs its constructors, and no destructor keeps it loaded"),
    Scenario::new("unload-failed-keeps-heap", Feature::Unload, unload_failed_keeps_heap),
    Scenario::new("unload-retry", Feature::Unload, unload_retry),
    Scenario::new("unload-drop", Feature::Unload, unload_drop).leaves("the module, which was dropped"),
    Scenario::new("before-unload", Feature::Unload, before_unload),
];

const OBSTACLES: &str = "unload-obstacles";

/// Waits for the thread of the fixture to have ended its work.
fn wait_for_result(module: &Module<ModuleObstacles>) -> Result<u64, Failure> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(sum) = module.exports().thread_result().or_fail("thread_result panicked")? {
            return Ok(sum);
        }
        if Instant::now() > end {
            return Err(Failure::new("the thread did not end"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Unloads a module whose thread has ended its work and is about to end itself, which takes a loaded machine a while.
fn unload_patiently(module: Module<ModuleObstacles>) -> Result<Unloaded, Failure> {
    Ok(module.unload_within(Duration::from_secs(10))?)
}

/// What the fixture's thread adds up for as many blocks.
fn sum_of(blocks: usize) -> u64 {
    (0..blocks as u64).sum()
}

/// The blocks that modules keep while an unload leaves their images where they are.
const KEPT: usize = 100_000;

/// Fails unless a module still has what it was told to keep: a heap that is gone while its image is not would be found by
/// the next call.
fn check_kept(run: &Run, keeper: &ModuleKeeper) -> Result<(), Failure> {
    run.check_eq("the sum of what the module keeps", keeper.sum_kept(), Some(sum_of(KEPT)))
}

/// Fails while anything of the fixture's file is mapped.
fn check_gone(run: &Run, fixture: &str) -> Result<(), Failure> {
    let left = mappings_of(&file_name(&run.fixture(fixture)))?;
    run.check_eq("mappings of the module's file after the unload", left, 0)
}

fn unload_clean(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleObstacles>(run, OBSTACLES)?;
    let module = load::<ModuleObstacles>(run, OBSTACLES)?;
    let name = file_name(&run.fixture(OBSTACLES));
    run.check(mappings_of(&name)? > 0, "a loaded module should be mapped from its file")?;
    module.exports().start_thread(1000).or_fail("start_thread panicked")?;
    module.exports().release_thread().or_fail("release_thread panicked")?;
    run.observe("the thread's sum is right", wait_for_result(&module)? == sum_of(1000));
    let report = unload_patiently(module)?;
    run.observe("mappings reclaimed", report.mappings.len());
    run.observe("keys reclaimed", report.keys);
    run.observe("descriptors left", report.descriptors.len());
    check_gone(run, OBSTACLES)
}

fn unload_other_thread(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleObstacles>(run, OBSTACLES)?;
    for _ in 0..20 {
        let path = run.fixture(OBSTACLES);
        let load = move || load_file::<ModuleObstacles>(&path, &LoadOptions::new(), ());
        let module = std::thread::spawn(load).join().expect("a load should not panic")?;
        module.exports().thread_result().or_fail("thread_result panicked")?;
        let unload = move || module.unload().map(drop).map_err(Failure::from);
        std::thread::spawn(unload).join().expect("an unload should not panic")?;
    }
    run.observe("cycles", 20);
    check_gone(run, OBSTACLES)
}

fn unload_ten_parallel(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    const CYCLES: usize = 20;
    let cycles = |path: &std::path::Path, blocks: usize| -> Result<(), Failure> {
        for _ in 0..CYCLES {
            let options = LoadOptions::new().separate_instance(true);
            let module = load_file::<ModuleObstacles>(path, &options, ())?;
            module.exports().start_thread(blocks).or_fail("start_thread panicked")?;
            module.exports().release_thread().or_fail("release_thread panicked")?;
            if wait_for_result(&module)? != sum_of(blocks) {
                return Err(Failure::new("a module has worked with the memory of another"));
            }
            unload_patiently(module)?;
        }
        Ok(())
    };
    let path = run.fixture(OBSTACLES);
    let all = || -> Result<(), Failure> {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=10)
                .map(|n| {
                    scope.spawn({
                        let path = &path;
                        move || cycles(path, n * 100)
                    })
                })
                .collect();
            threads.into_iter().try_for_each(|thread| thread.join().expect("a cycle should not panic"))
        })
    };
    all()?;
    run.baseline();
    all()?;
    run.observe("modules", 10);
    run.observe("cycles of each", CYCLES);
    check_gone(run, OBSTACLES)
}

/// What a fixture that asks not to be unmapped does: in place it stays, and says why; from a private copy it goes.
fn stays_in_place_only(run: &mut Run, fixture: &str) -> Result<(), Failure> {
    type Handles = (ModuleCounter, ModuleKeeper);
    let count = |module: &Module<Handles>| module.exports().0.next().or_fail("next panicked");
    let module = load_with::<Handles>(run, fixture, &LoadOptions::new().in_place(true))?;
    count(&module)?;
    module.exports().1.keep(KEPT).or_fail("keep panicked")?;
    let (error, module) = refused(module)?;
    run.observe("in place", &error);
    check_kept(run, &module.exports().1)?;
    run.check_eq("calls counted by the module that stayed", count(&module)?, 2)?;
    let (again, module) = refused(module)?;
    run.check_eq("the reason for the second time", again, error)?;
    run.check_eq("calls counted by the module that stayed", count(&module)?, 3)?;
    check_kept(run, &module.exports().1)?;
    drop(module);

    let staged = LoadOptions::new().separate_instance(true);
    load_with::<Handles>(run, fixture, &staged)?.unload()?;
    run.baseline();
    let mapped = mappings_of(&file_name(&run.fixture(fixture)))?;
    for _ in 0..10 {
        let module = load_with::<Handles>(run, fixture, &staged)?;
        run.check_eq("calls counted by a new module", count(&module)?, 1)?;
        module.unload()?;
    }
    run.observe("from a private copy", "unloaded 10 times, and new each time");
    run.check_eq("mappings of the file", mappings_of(&file_name(&run.fixture(fixture)))?, mapped)
}

fn unload_nodelete(run: &mut Run) -> Result<(), Failure> {
    stays_in_place_only(run, "unload-nodelete")
}

fn unload_unique_symbol(run: &mut Run) -> Result<(), Failure> {
    stays_in_place_only(run, "unload-unique-symbol")
}

fn unload_second_handle(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleObstacles>(run, OBSTACLES)?;
    let module = load::<(ModuleObstacles, ModuleKeeper)>(run, OBSTACLES)?;
    let (obstacles, keeper) = module.exports();
    obstacles.open_itself().or_fail("open_itself panicked")?;
    keeper.keep(KEPT).or_fail("keep panicked")?;
    let (error, module) = refused(module)?;
    run.observe("while the module holds itself", error);
    let (obstacles, keeper) = module.exports();
    check_kept(run, keeper)?;
    obstacles.close_itself().or_fail("close_itself panicked")?;
    module.unload()?;
    run.observe("after it has closed its handle", "unloaded");
    check_gone(run, OBSTACLES)
}

fn unload_held_elsewhere(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleObstacles>(run, OBSTACLES)?;
    let module = load::<ModuleKeeper>(run, OBSTACLES)?;
    let handle = open_image(module.address_range().start);
    run.check(!handle.is_null(), "the image should be open already")?;
    module.exports().keep(KEPT).or_fail("keep panicked")?;
    let (error, module) = refused(module)?;
    run.observe("while the host holds a handle", error);
    check_kept(run, module.exports())?;
    // SAFETY: the handle was opened above and is given up.
    unsafe { close_image(handle) };
    module.unload()?;
    run.observe("after the host has closed its handle", "unloaded");
    check_gone(run, OBSTACLES)
}

fn unload_early_thread_local(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    const EARLY: &str = "unload-early-thread-local";
    warm_up::<ModuleEarly>(run, EARLY)?;
    for (mode, options) in
        [("in place", LoadOptions::new().in_place(true)), ("a private copy", LoadOptions::new())]
    {
        let path = run.fixture(EARLY);
        let (end, ended) = channel::<()>();
        let (send, loaded) = channel();
        // The constructor runs on this thread, which then lives on.
        let loader = std::thread::Builder::new().name("loader".to_owned()).spawn(move || {
            let module = load_file::<ModuleEarly>(&path, &options, ());
            send.send(module).expect("the scenario waits for the module");
            // An error means that the sender is gone, which ends the thread as well.
            let _ = ended.recv();
        })?;
        let module = loaded.recv()??;
        let argument = module.exports().first_argument().or_fail("first_argument panicked")?;
        run.check_eq("the first argument", argument, std::env::args().next())?;
        let (error, module) = refused(module)?;
        run.observe(&format!("{mode}, while the thread lives"), error);
        drop(end);
        loader.join().map_err(|_| Failure::new("the loading thread panicked"))?;
        module.unload()?;
        run.observe(&format!("{mode}, after its end"), "unloaded");
        check_gone(run, EARLY)?;
    }
    Ok(())
}

fn unload_failed_keeps_heap(run: &mut Run) -> Result<(), Failure> {
    const BLOCKS: usize = 100_000;
    warm_up::<ModuleObstacles>(run, OBSTACLES)?;
    let module = load::<ModuleObstacles>(run, OBSTACLES)?;
    module.exports().start_thread(BLOCKS).or_fail("start_thread panicked")?;
    let (error, module) = refused(module)?;
    run.observe("while the thread runs", error);
    let live = module.memory().blocks;
    run.check(live >= BLOCKS, format!("only {live} blocks are alive after the failed unload"))?;
    module.exports().release_thread().or_fail("release_thread panicked")?;
    run.observe("the thread's sum is right", wait_for_result(&module)? == sum_of(BLOCKS));
    unload_patiently(module)?;
    run.observe("after the thread has ended", "unloaded");
    check_gone(run, OBSTACLES)
}

fn unload_retry(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleObstacles>(run, OBSTACLES)?;
    let mut module = load::<ModuleObstacles>(run, OBSTACLES)?;
    let exports = |module: &Module<ModuleObstacles>, start: bool| {
        let exports = module.exports();
        if start { exports.start_thread(10) } else { exports.release_thread() }.or_fail("an export panicked")
    };
    // Both obstacles at once: each refusal names the one that it met first.
    exports(&module, true)?;
    module.exports().open_itself().or_fail("open_itself panicked")?;
    for _ in 0..3 {
        let error;
        (error, module) = refused(module)?;
        run.observe("with a thread and a handle", error);
    }
    exports(&module, false)?;
    wait_for_result(&module)?;
    for _ in 0..3 {
        let failed =
            module.unload_within(Duration::from_secs(10)).err().or_fail("the handle is still open")?;
        let error;
        (error, module) = failed.into_parts();
        run.observe("with a handle", error);
    }
    module.exports().close_itself().or_fail("close_itself panicked")?;
    module.unload()?;
    run.observe("with neither", "unloaded");
    load::<ModuleObstacles>(run, OBSTACLES)?.unload()?;
    run.observe("the same file again", "loaded and unloaded");
    check_gone(run, OBSTACLES)
}

fn unload_drop(run: &mut Run) -> Result<(), Failure> {
    leave_behind(run, OBSTACLES, drop_module)
}

fn drop_module(run: &mut Run) -> Result<(), Failure> {
    let module = load::<ModuleObstacles>(run, OBSTACLES)?;
    module.exports().start_thread(1000).or_fail("start_thread panicked")?;
    let range = module.address_range();
    drop(module);
    run.check(!open_image(range.start).is_null(), "the image should stay")?;
    run.observe("after the drop", "the image is mapped, and its thread waits");
    let path = run.fixture(OBSTACLES);
    let again = load_error::<ModuleObstacles>(&path, &LoadOptions::new())?;
    run.observe("loading the file again", reason(&again, &path)?);
    Ok(())
}

fn before_unload(run: &mut Run) -> Result<(), Failure> {
    const FIXTURES: [(&str, &str); 2] =
        [("the attribute", "before-unload-attribute"), ("the macro", "before-unload-macro")];
    let cycle = |run: &Run, fixture: &str| -> Result<Vec<String>, Failure> {
        let module = load_file::<ModuleStages>(&run.fixture(fixture), &LoadOptions::new(), EventLog)?;
        module.exports().prepare().or_fail("prepare panicked")?;
        module.unload()?;
        Ok(take_events())
    };
    for (_, fixture) in FIXTURES {
        cycle(run, fixture)?;
    }
    run.baseline();
    for (how, fixture) in FIXTURES {
        let events = cycle(run, fixture)?;
        run.observe(how, events.join(", "));
        run.check_eq("the first event", events[0].as_str(), "before_unload is called")?;
        let calls = events.iter().filter(|event| *event == "before_unload is called").count();
        run.check_eq("calls of before_unload", calls, 1)?;
        check_gone(run, fixture)?;
    }
    Ok(())
}
