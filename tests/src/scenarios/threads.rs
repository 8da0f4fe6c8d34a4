//! Scenarios of the feature "Background threads check".

use std::thread;
use std::time::Duration;

use fixture_interface::threads::{
    ModuleCThreads, ModulePool, ModuleRuntime, ModuleSystemThreads, ModuleThreads,
};
use relib_harness::{Failure, Feature, OrFail, Profile, Run, Scenario};

use crate::platform::{self, close_image, open_image};
use crate::support::{SECONDS, allow_for_threads, leave_behind, load, warm_up};

/// The scenarios, in the order of the catalogue.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("threads-running", Feature::Threads, threads_running),
    Scenario::new("threads-joined", Feature::Threads, threads_joined),
    Scenario::new("threads-scoped", Feature::Threads, threads_scoped),
    Scenario::new("threads-detached-finished", Feature::Threads, threads_detached_finished)
        .time_limit_secs(300),
    Scenario::new("threads-host-finished", Feature::Threads, threads_host_finished).time_limit_secs(300),
    Scenario::new("threads-before-unload-joins", Feature::Threads, threads_before_unload_joins),
    Scenario::new("threads-within", Feature::Threads, threads_within),
    Scenario::new("threads-c", Feature::Threads, threads_c),
    Scenario::new("threads-c-exit", Feature::Threads, threads_c_exit),
    Scenario::new("threads-c11", Feature::Threads, threads_c_other)
        .linux_only("the C runtime of Windows has no C11 threads"),
    Scenario::new("threads-c-system", Feature::Threads, threads_c_other)
        .windows_only("C code that does not start threads by its runtime does so by the system"),
    Scenario::new("threads-suspended", Feature::Threads, threads_suspended)
        .windows_only("Linux makes no thread that does not run"),
    Scenario::new("threads-free-and-exit", Feature::Threads, threads_free_and_exit)
        .time_limit_secs(300)
        .windows_only("elsewhere no call ends a thread and closes its library at once"),
    Scenario::new("threads-rayon", Feature::Threads, threads_rayon)
        .leaves("the module, whose global pool never ends"),
    Scenario::new("threads-rayon-dropped", Feature::Threads, threads_rayon_dropped),
    Scenario::new("threads-tokio", Feature::Threads, threads_tokio),
];

/// The fixture with threads as only Windows has them.
const SYSTEM: &str = "threads-system";

fn threads_running(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    warm_up::<ModuleThreads>(run, "threads")?;
    let module = load::<ModuleThreads>(run, "threads")?;
    module.exports().start("looping").or_fail("start panicked")?;
    let failed = module.unload().err().or_fail("unloaded although a thread runs")?;
    run.observe("error", &failed);
    let module = failed.into_module();
    run.observe("sum afterwards", module.exports().sum_joined(4).or_fail("sum_joined panicked")?);
    module.exports().stop().or_fail("stop panicked")?;
    module.exports().join().or_fail("join panicked")?;
    module.unload()?;
    Ok(())
}

fn threads_joined(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    warm_up::<ModuleThreads>(run, "threads")?;
    let module = load::<ModuleThreads>(run, "threads")?;
    run.observe("sum", module.exports().sum_joined(8).or_fail("sum_joined panicked")?);
    module.unload()?;
    Ok(())
}

fn threads_scoped(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    warm_up::<ModuleThreads>(run, "threads")?;
    let module = load::<ModuleThreads>(run, "threads")?;
    run.observe("sum", module.exports().sum_scoped(8).or_fail("sum_scoped panicked")?);
    module.unload_within(SECONDS)?;
    Ok(())
}

/// How often a race is tried: seldom enough, in debug and where loads take long, that the time limit holds.
fn cycles(run: &Run, release: usize) -> usize {
    let in_this_profile = match run.profile() {
        Profile::Release => release,
        Profile::Debug => release / 10,
    };
    in_this_profile / platform::SLOWNESS
}

fn threads_detached_finished(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    warm_up::<ModuleThreads>(run, "threads")?;
    // Caches of the C library settle somewhat above the usual tolerance, after 5,000 cycles as after 20,000.
    run.tolerance().heap = 256 << 10;
    let cycles = cycles(run, 10_000);
    for _ in 0..cycles {
        let module = load::<ModuleThreads>(run, "threads")?;
        module.exports().detach(8).or_fail("detach panicked")?;
        module.unload_within(SECONDS)?;
    }
    run.observe("cycles", cycles);
    Ok(())
}

fn threads_host_finished(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    warm_up::<ModuleThreads>(run, "threads")?;
    let cycles = cycles(run, 10_000);
    for _ in 0..cycles {
        let module = load::<ModuleThreads>(run, "threads")?;
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| module.exports().work());
            }
        });
        // The scope has ended, and its threads are still about to.
        module.unload_within(SECONDS)?;
    }
    run.observe("cycles", cycles);
    Ok(())
}

fn threads_before_unload_joins(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    warm_up::<()>(run, "threads-before-unload")?;
    let module = load::<()>(run, "threads-before-unload")?;
    run.observe("threads", module.try_call_main::<u64>()?);
    module.unload()?;
    Ok(())
}

fn threads_within(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleThreads>(run, "threads")?;
    let module = load::<ModuleThreads>(run, "threads")?;
    module.exports().start_for(200).or_fail("start_for panicked")?;
    module.unload_within(Duration::from_secs(2))?;
    run.observe("unloaded within 2 s", "a thread of 200 ms");

    let module = load::<ModuleThreads>(run, "threads")?;
    module.exports().start_for(50).or_fail("start_for panicked")?;
    module.unload_within(Duration::MAX)?;
    run.observe("unloaded within an eternity", "a thread of 50 ms");
    Ok(())
}

fn threads_c(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleCThreads>(run, "threads-c")?;
    let module = load::<ModuleCThreads>(run, "threads-c")?;
    module.exports().start().or_fail("start panicked")?;
    let failed = module.unload().err().or_fail("unloaded although a thread of C code runs")?;
    run.observe("error", &failed);
    let module = failed.into_module();
    module.exports().stop_and_join().or_fail("stop_and_join panicked")?;
    module.unload()?;
    Ok(())
}

fn threads_c_exit(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    warm_up::<ModuleCThreads>(run, "threads-c")?;
    for _ in 0..50 {
        let module = load::<ModuleCThreads>(run, "threads-c")?;
        for _ in 0..4 {
            module.exports().start_exiting().or_fail("start_exiting panicked")?;
        }
        module.unload_within(SECONDS)?;
    }
    let module = load::<ModuleCThreads>(run, "threads-c")?;
    module.exports().start_exiting().or_fail("start_exiting panicked")?;
    while module.exports().destroyed().or_fail("destroyed panicked")? == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    run.observe("key destructors run", module.exports().destroyed().or_fail("destroyed panicked")?);
    module.unload_within(SECONDS)?;
    Ok(())
}

fn threads_c_other(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleCThreads>(run, "threads-c")?;
    let module = load::<ModuleCThreads>(run, "threads-c")?;
    module.exports().start_other().or_fail("start_other panicked")?;
    let failed = module.unload().err().or_fail("unloaded although a thread of C code runs")?;
    run.observe("error", &failed);
    let module = failed.into_module();
    let result = module.exports().stop_and_join_other().or_fail("stop_and_join_other panicked")?;
    run.observe("result of the thread", result);
    module.unload()?;
    Ok(())
}

fn threads_suspended(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleSystemThreads>(run, SYSTEM)?;
    let module = load::<ModuleSystemThreads>(run, SYSTEM)?;
    module.exports().start_suspended().or_fail("start_suspended panicked")?;
    let failed = module.unload().err().or_fail("unloaded although a thread is going to run")?;
    run.observe("error", &failed);
    let module = failed.into_module();
    run.check_eq("objects dropped by a thread that does not run", module.exports().dropped(), Some(0))?;
    module.exports().resume().or_fail("resume panicked")?;
    module.unload_within(SECONDS)?;
    run.observe("after the thread has run", "unloaded");
    Ok(())
}

fn threads_free_and_exit(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    const THREADS: usize = 4;
    warm_up::<ModuleSystemThreads>(run, SYSTEM)?;
    // So many that what a thread leaves behind in the host is more than the tolerance.
    const CYCLES: usize = 200;
    for _ in 0..CYCLES {
        let module = load::<ModuleSystemThreads>(run, SYSTEM)?;
        for _ in 0..THREADS {
            module.exports().start_freeing().or_fail("start_freeing panicked")?;
        }
        module.unload_within(SECONDS)?;
    }
    run.observe("unloads while threads end and let go of the module", CYCLES);

    let module = load::<ModuleSystemThreads>(run, SYSTEM)?;
    module.exports().start_freeing().or_fail("start_freeing panicked")?;
    while module.exports().dropped().or_fail("dropped panicked")? == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    run.check_eq("libraries that the module holds", module.libraries(), vec![])?;
    // The handle that the thread had is not counted any more: who holds the module is somebody else.
    let handle = open_image(module.address_range().start);
    let failed = module.unload_within(SECONDS).err().or_fail("unloaded although the host holds it")?;
    run.observe("while the host holds a handle", &failed);
    // SAFETY: the handle was opened above and is given up.
    unsafe { close_image(handle) };
    failed.into_module().unload()?;
    Ok(())
}

fn threads_rayon(run: &mut Run) -> Result<(), Failure> {
    leave_behind(run, "threads-rayon", keep_global_pool)
}

fn keep_global_pool(run: &mut Run) -> Result<(), Failure> {
    let module = load::<ModulePool>(run, "threads-rayon")?;
    run.observe("sum", module.exports().sum_global(1000).or_fail("sum_global panicked")?);
    let failed = module.unload().err().or_fail("unloaded although a pool is there")?;
    run.observe("error", &failed);
    let module = failed.into_module();
    run.observe("sum afterwards", module.exports().sum_global(1000).or_fail("sum_global panicked")?);
    Ok(())
}

fn threads_rayon_dropped(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    warm_up::<ModulePool>(run, "threads-rayon")?;
    for _ in 0..20 {
        let module = load::<ModulePool>(run, "threads-rayon")?;
        run.check_eq("sum", module.exports().sum_local(1000), Some(499_500))?;
        // Dropping a pool does not wait for its threads.
        module.unload_within(SECONDS)?;
    }
    run.observe("cycles", 20);
    Ok(())
}

fn threads_tokio(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    warm_up::<ModuleRuntime>(run, "threads-tokio")?;
    let module = load::<ModuleRuntime>(run, "threads-tokio")?;
    run.observe("sum", module.exports().sum(10).or_fail("sum panicked")?);
    let failed = module.unload().err().or_fail("unloaded although the runtime is there")?;
    run.observe("error without shutting down", &failed);
    let module = failed.into_module();
    run.observe("sum afterwards", module.exports().sum(10).or_fail("sum panicked")?);
    module.exports().shut_down_before_unload(true).or_fail("shut_down_before_unload panicked")?;
    module.unload()?;
    Ok(())
}
