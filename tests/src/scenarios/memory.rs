//! Scenarios of the feature "Memory deallocation".

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fixture_interface::memory::{
    ModuleCLibrary, ModuleChanges, ModuleConstructed, ModuleCountingAllocator, ModuleForeignBlocks,
    ModuleLayouts, ModuleLeak, ModuleSharedBlocks, ModuleStatics,
};
use relib::{LoadOptions, MemoryUse, Module, State, Unloaded};
use relib_harness::probe::Probe;
use relib_harness::report::Report;
use relib_harness::{Failure, Feature, OrFail, Run, Scenario};

use crate::platform::{CONSTRUCTORS_WAIT_FOR_HOST, aborted};
use crate::support::{
    END_TRACE, SECONDS, TRACE, allow_for_threads, another_process, load, load_error, load_file, load_with,
    reason, warm_up,
};

/// The scenarios, in the order of the catalogue.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("leak-forget", Feature::Memory, leak_forget),
    Scenario::new("leak-static", Feature::Memory, leak_static),
    Scenario::new("leak-large", Feature::Memory, leak_large),
    Scenario::new("leak-million", Feature::Memory, leak_million),
    Scenario::new("leak-threads", Feature::Memory, leak_threads),
    Scenario::new("leak-realloc-aligned", Feature::Memory, leak_realloc_aligned),
    Scenario::new("memory-while-called", Feature::Memory, memory_while_called),
    Scenario::new("alloc-in-constructor", Feature::Memory, alloc_in_constructor),
    Scenario::new("alloc-custom-global", Feature::Memory, alloc_custom_global),
    Scenario::new("memory-environment", Feature::Memory, memory_environment),
    Scenario::new("state-foreign-allocator", Feature::Memory, state_foreign_allocator)
        .leaves("the module's std keeps what it has read for a backtrace, in memory that is not relib's"),
    Scenario::new("dealloc-foreign", Feature::Memory, dealloc_foreign),
    Scenario::new("c-library-leak", Feature::Memory, c_library_leak),
];

/// What an unload has reclaimed beyond what a module holds that was not called.
fn beyond(idle: MemoryUse, report: &Unloaded) -> MemoryUse {
    MemoryUse { bytes: report.memory.bytes - idle.bytes, blocks: report.memory.blocks - idle.blocks }
}

fn observe(run: &mut Run, what: &str, memory: MemoryUse) {
    run.observe(what, format!("{} blocks, {} bytes", memory.blocks, memory.bytes));
}

/// Runs a cycle that leaks about 4 MiB often enough that the process would have grown by 80 MiB, and returns what each
/// of the unloads has reported. The report is relib's own count; what is really gone is seen by the probe, which
/// tolerates some MiB.
fn leak_repeatedly<R: PartialEq + std::fmt::Debug>(
    run: &Run,
    cycle: impl Fn() -> Result<R, Failure>,
) -> Result<R, Failure> {
    let first = cycle()?;
    for _ in 1..20 {
        let later = cycle()?;
        run.check(later == first, format!("an unload has reported {later:?}, and the first {first:?}"))?;
    }
    Ok(first)
}

fn leak_forget(run: &mut Run) -> Result<(), Failure> {
    let idle = warm_up::<ModuleLeak>(run, "leak-forget")?.memory;
    let reclaimed = leak_repeatedly(run, || {
        let module = load::<ModuleLeak>(run, "leak-forget")?;
        module.exports().leak(1000, 4096).or_fail("leak panicked")?;
        Ok(beyond(idle, &module.unload()?))
    })?;
    run.observe("blocks reclaimed", reclaimed.blocks);
    run.observe("bytes reclaimed", reclaimed.bytes);
    Ok(())
}

fn leak_static(run: &mut Run) -> Result<(), Failure> {
    let idle = warm_up::<ModuleStatics>(run, "leak-static")?.memory;
    let mebibytes = leak_repeatedly(run, || {
        let module = load::<ModuleStatics>(run, "leak-static")?;
        module.exports().fill(1 << 20).or_fail("fill panicked")?;
        Ok(beyond(idle, &module.unload()?).bytes >> 20)
    })?;
    run.observe("MiB reclaimed", mebibytes);
    Ok(())
}

fn resident() -> Result<u64, Failure> {
    Ok(Probe::take()?.resident)
}

fn leak_large(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleLeak>(run, "leak-forget")?;
    const TOTAL: usize = 200 << 20;
    const TOLERANCE: u64 = 8 << 20;
    let kinds = [
        (1, false, "one block"),
        (200, false, "blocks of 1 MiB"),
        (6400, false, "blocks of 32 KiB"),
        (1, true, "one block of a thread that has ended"),
        (200, true, "blocks of 1 MiB of a thread that has ended"),
    ];
    let before = resident()?;
    for (blocks, on_thread, what) in kinds {
        let module = load::<ModuleLeak>(run, "leak-forget")?;
        let leak = || module.exports().leak(blocks, TOTAL / blocks);
        let leaked =
            if on_thread { thread::scope(|scope| scope.spawn(leak).join().unwrap()) } else { leak() };
        leaked.or_fail("leak panicked")?;
        let grown = resident()?.saturating_sub(before);
        run.check(
            grown + TOLERANCE >= TOTAL as u64,
            format!("only {} MiB resident with {what}", grown >> 20),
        )?;
        let report = module.unload()?;
        run.check(report.memory.bytes >= TOTAL, format!("only {} bytes reported", report.memory.bytes))?;
        let left = resident()?.saturating_sub(before);
        run.check(left <= TOLERANCE, format!("{} MiB stay resident after {what}", left >> 20))?;
        run.observe("resident set as before after 200 MiB in", what);
    }
    Ok(())
}

fn leak_million(run: &mut Run) -> Result<(), Failure> {
    let idle = warm_up::<ModuleLeak>(run, "leak-forget")?.memory;
    let module = load::<ModuleLeak>(run, "leak-forget")?;
    module.exports().leak(1_000_000, 32).or_fail("leak panicked")?;
    let report = module.unload()?;
    observe(run, "reclaimed", beyond(idle, &report));
    Ok(())
}

fn leak_threads(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    warm_up::<ModuleSharedBlocks>(run, "leak-threads")?;
    for _ in 0..10 {
        let module = load::<ModuleSharedBlocks>(run, "leak-threads")?;
        let exports = module.exports();
        exports.exchange(8, 2000, 500, 200).or_fail("exchange panicked")?;
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    exports.allocate(2000, 200).unwrap();
                    exports.free(1000).unwrap();
                });
            }
        });
        exports.free(1000).or_fail("free panicked")?;
        // Allocated 24,000 blocks and freed 9,000; a freed block may be counted until its page is used again.
        let report = module.unload_within(SECONDS)?;
        run.check(report.memory.blocks >= 15_000, format!("{} blocks reclaimed", report.memory.blocks))?;
    }
    run.observe("cycles", 10);
    Ok(())
}

fn leak_realloc_aligned(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleLayouts>(run, "leak-realloc-aligned")?;
    for options in [LoadOptions::new(), LoadOptions::new().validate_deallocations(true)] {
        let module = load_with::<ModuleLayouts>(run, "leak-realloc-aligned", &options)?;
        let errors = module.exports().exercise().or_fail("exercise panicked")?;
        run.check_eq("errors", errors, Vec::<String>::new())?;
        module.unload()?;
    }
    run.observe("alignments", "1 to 4096");
    Ok(())
}

fn memory_while_called(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    warm_up::<ModuleSharedBlocks>(run, "leak-threads")?;
    let module = load::<ModuleSharedBlocks>(run, "leak-threads")?;
    let idle = module.memory();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for bytes in [100, 70_000, 3 << 20] {
            let (module, stop) = (&module, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    module.exports().exchange(2, 20, 20, bytes).unwrap();
                }
            });
        }
        for _ in 0..2000 {
            module.memory();
        }
        stop.store(true, Ordering::Relaxed);
    });
    run.check(module.memory().blocks >= idle.blocks, "blocks were lost")?;
    module.unload_within(SECONDS)?;
    run.observe("looks at the heap while it was used", 2000);
    Ok(())
}

fn alloc_in_constructor(run: &mut Run) -> Result<(), Failure> {
    let in_place = LoadOptions::new().in_place(true);
    // Before the baseline: what the constructor keeps is lost with the refused load.
    let error = load_error::<()>(&run.fixture("alloc-early"), &in_place)?;
    run.observe("more than the arena has, in place", error);
    if !CONSTRUCTORS_WAIT_FOR_HOST {
        let error = load_error::<()>(&run.fixture("alloc-early"), &LoadOptions::new())?;
        run.observe("more than the arena has, in a private copy", error);
    }

    warm_up::<ModuleConstructed>(run, "alloc-in-constructor")?;
    let module = load::<ModuleConstructed>(run, "alloc-in-constructor")?;
    let exports = module.exports();
    run.observe("after the load", exports.lines().or_fail("lines panicked")?.join(", "));
    exports.add("added").or_fail("add panicked")?;
    run.observe("after a change", exports.lines().or_fail("lines panicked")?.join(", "));
    exports.clear().or_fail("clear panicked")?;
    run.check_eq("after clear", exports.lines(), Some(Vec::new()))?;
    module.unload()?;

    // In place the constructor runs without a heap. Freeing what it got then is no foreign deallocation.
    for options in [LoadOptions::new(), in_place] {
        let options = options.validate_deallocations(true);
        let module = load_with::<ModuleConstructed>(run, "alloc-in-constructor", &options)?;
        run.check_eq("lines", module.exports().lines().map(|lines| lines.len()), Some(5))?;
        module.exports().add("added").or_fail("add panicked")?;
        module.exports().clear().or_fail("clear panicked")?;
        module.unload()?;
    }
    if CONSTRUCTORS_WAIT_FOR_HOST {
        load::<()>(run, "alloc-early")?.unload()?;
    }
    Ok(())
}

fn alloc_custom_global(run: &mut Run) -> Result<(), Failure> {
    let idle = warm_up::<ModuleCountingAllocator>(run, "alloc-custom-global")?.memory;
    let (counted, reclaimed) = leak_repeatedly(run, || {
        let module = load::<ModuleCountingAllocator>(run, "alloc-custom-global")?;
        let counted = module.exports().leak(1000, 4096).or_fail("leak panicked")?;
        Ok((counted, beyond(idle, &module.unload()?)))
    })?;
    run.observe("allocations that the module's own allocator has counted", counted);
    observe(run, "reclaimed with the composed allocator", reclaimed);

    let path = run.fixture("alloc-system-global");
    let refused = load_error::<ModuleLeak>(&path, &LoadOptions::new())?;
    run.observe("another allocator", reason(&refused, &path)?);
    run.check_eq(
        "a constructor of the refused module ran",
        std::fs::exists(TRACE)?,
        !CONSTRUCTORS_WAIT_FOR_HOST,
    )?;
    if !CONSTRUCTORS_WAIT_FOR_HOST {
        std::fs::remove_file(TRACE)?;
    }
    run.check(!std::fs::exists(END_TRACE)?, "a destructor ran although no constructor did")?;
    let options = LoadOptions::new().allow_foreign_allocator(true);
    let module = load_with::<ModuleLeak>(run, "alloc-system-global", &options)?;
    run.check(std::fs::exists(TRACE)?, "a constructor that ran left no trace")?;
    module.exports().leak(10, 1024).or_fail("leak panicked")?;
    // That is of the host's heap and stays, beside what relib remembers of two files.
    let heap = &mut run.tolerance().heap;
    *heap = heap.saturating_add(10 * 1024);
    let report = module.unload()?;
    observe(run, "reclaimed when it is accepted", report.memory);
    run.check_eq("a destructor left a trace", std::fs::exists(END_TRACE)?, CONSTRUCTORS_WAIT_FOR_HOST)?;
    Ok(())
}

/// A module whose memory is not relib's cannot put some into a state.
fn state_foreign_allocator(run: &mut Run) -> Result<(), Failure> {
    let options = LoadOptions::new().allow_foreign_allocator(true);
    let module = load_with::<ModuleChanges>(run, "alloc-system-global", &options)?;
    let mut state: State<Vec<u64>> = State::new();
    run.check_eq("a change of a state", module.exports().add(state.lend(), 7), None)?;
    run.observe("a change of a state", module.last_panic().or_fail("there is no panic")?.message);
    run.check_eq("the state", state.get(), None)?;
    module.unload()?;
    // The state is as good as before for a module that may change it.
    run.check_eq("the state when the module is gone", state.get(), None)
}

/// What mimalloc reads from the environment, and which other programs may need.
fn memory_environment(run: &mut Run) -> Result<(), Failure> {
    const INNER: &str = "RELIB_TEST_ENVIRONMENT";
    let path = run.fixture("leak-forget");
    let cycle = || {
        let module = load_file::<ModuleLeak>(&path, &LoadOptions::new(), ())?;
        module.exports().leak(1000, 4096).or_fail("leak panicked")?;
        Ok::<_, Failure>(module.unload()?.memory.blocks)
    };
    if std::env::var_os(INNER).is_some() {
        cycle()?;
        run.baseline();
        // 120 MiB: what is not reclaimed is seen by the probe.
        return (0..30).try_for_each(|_| run.check(cycle()? >= 1000, "blocks are not counted"));
    }
    warm_up::<ModuleLeak>(run, "leak-forget")?;
    for (name, value) in [
        ("MIMALLOC_ARENA_RESERVE", "0"),
        ("MIMALLOC_DISALLOW_ARENA_ALLOC", "1"),
        ("MIMALLOC_DISALLOW_OS_ALLOC", "1"),
        ("MIMALLOC_ARENA_MAX_OBJECT_SIZE", "0"),
        ("MIMALLOC_PURGE_DELAY", "-1"),
    ] {
        let work = run.scratch_dir().join(name);
        std::fs::create_dir(&work)?;
        let report = work.join("report");
        let mut command = another_process(INNER, "")?;
        command.arg("--report").arg(&report).arg("--scratch").arg(&work).env(name, value);
        relib_harness::process::set_temporary_directory(&mut command, run.temp_dir());
        let status = command.status()?;
        let ending = Report::read(&report)?.ending;
        run.check(status.success(), format!("the process ended with {status}"))?;
        run.observe(&format!("{name}={value}"), format!("{:?}", ending.or_fail("the body did not end")?));
    }
    Ok(())
}

/// Says to a second process of this scenario what it is to do wrong.
const OFFENCE: &str = "RELIB_TEST_OFFENCE";

fn dealloc_foreign(run: &mut Run) -> Result<(), Failure> {
    let options = LoadOptions::new().validate_deallocations(true).separate_instance(true);
    let load = |run: &Run| load_with::<ModuleForeignBlocks>(run, "dealloc-foreign", &options);
    if let Ok(offence) = std::env::var(OFFENCE) {
        return offend(&offence, &load(run)?, &load(run)?);
    }
    load(run)?.unload()?;
    run.baseline();
    let module = load(run)?;
    let block = module.exports().allocate(100).or_fail("allocate panicked")?;
    module.exports().resize(block, 100, 5000).or_fail("resize panicked")?;
    let block = module.exports().allocate(100).or_fail("allocate panicked")?;
    module.exports().free(block, 100).or_fail("free panicked")?;
    module.unload()?;

    for offence in
        ["frees a block of the host", "resizes a block of the host", "frees a block of another module"]
    {
        let mut command = another_process(OFFENCE, offence)?;
        // A process that aborts leaves its files behind.
        relib_harness::process::set_temporary_directory(&mut command, run.scratch_dir());
        let output = command.output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        let message = stderr.lines().find(|line| line.starts_with("relib: "));
        run.observe(offence, message.or_fail(&format!("{}, without a message: {stderr}", output.status))?);
        run.check(aborted(output.status), format!("{offence}: the process ended with {}", output.status))?;
    }
    Ok(())
}

/// Does what must stop the process.
fn offend(
    offence: &str,
    module: &Module<ModuleForeignBlocks>,
    other: &Module<ModuleForeignBlocks>,
) -> Result<(), Failure> {
    let block = std::hint::black_box(Box::leak(vec![1u8; 100].into_boxed_slice()));
    let block = block.as_mut_ptr().expose_provenance();
    match offence {
        "frees a block of the host" => module.exports().free(block, 100),
        "resizes a block of the host" => module.exports().resize(block, 100, 5000),
        _ => {
            let block = other.exports().allocate(100).or_fail("allocate panicked")?;
            module.exports().free(block, 100)
        }
    };
    Err(Failure::new("the process went on"))
}

fn c_library_leak(run: &mut Run) -> Result<(), Failure> {
    const BLOCKS: usize = 100;
    const BYTES: usize = 1024;
    // The ways by which the fixture allocates.
    const KINDS: usize = 6;
    let idle = warm_up::<ModuleCLibrary>(run, "c-library-leak")?.memory;

    let options = LoadOptions::new().reclaim_c_allocations(true);
    // The module's std allocates by the C library too, for instance in `realpath`.
    let reclaiming_idle = load_with::<ModuleCLibrary>(run, "c-library-leak", &options)?.unload()?.memory;
    let module = load_with::<ModuleCLibrary>(run, "c-library-leak", &options)?;
    module.exports().leak(BLOCKS, BYTES).or_fail("leak panicked")?;
    run.check_eq("surprises", module.exports().mix(), Some(0))?;
    let report = module.unload()?;
    run.observe("blocks leaked", BLOCKS * KINDS);
    run.observe("blocks reclaimed when asked to", beyond(reclaiming_idle, &report).blocks);

    let before = heap_bytes()?;
    let module = load::<ModuleCLibrary>(run, "c-library-leak")?;
    run.check_eq("surprises", module.exports().mix(), Some(0))?;
    module.exports().leak(BLOCKS, BYTES).or_fail("leak panicked")?;
    let report = module.unload()?;
    run.observe("blocks reclaimed by default", beyond(idle, &report).blocks);
    let leaked = heap_bytes()? - before;
    let expected = (BLOCKS * BYTES * KINDS) as u64;
    run.check(leaked >= expected, format!("only {leaked} bytes of {expected} stayed"))?;
    // That is the documented default, and no leak of relib's.
    let heap = &mut run.tolerance().heap;
    *heap = heap.saturating_add(leaked);
    Ok(())
}

/// Bytes in use on the heap of the C library.
fn heap_bytes() -> Result<u64, Failure> {
    Ok(Probe::take()?.heap)
}
