//! A runner whose scenarios end in every way a scenario can end, on purpose: `harness/tests/outcomes.rs` runs each of
//! them and expects exactly that class.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode};
use std::thread;
use std::time::Duration;

use relib_harness::{Failure, Feature, Profile, Run, Scenario, fail, runner};

const SCENARIOS: &[Scenario] = &[
    scenario("self-clean", clean),
    scenario("self-clean-busy", clean_busy),
    scenario("self-fails", fails),
    scenario("self-panics", panics),
    scenario("self-panics-elsewhere", panics_elsewhere),
    scenario("self-segfaults", segfaults),
    scenario("self-aborts", aborts),
    scenario("self-aborts-at-exit", aborts_at_exit),
    scenario("self-exits", exits),
    scenario("self-exits-early-as-if-ok", exits_as_if_ok),
    scenario("self-hangs", hangs).time_limit_secs(1),
    scenario("self-eats-memory", eats_memory).address_space(Some(512 << 20)),
    scenario("self-leaks-heap", leaks_heap),
    scenario("self-leaks-descriptor", leaks_descriptor),
    scenario("self-leaks-thread", leaks_thread),
    scenario("self-leaks-key", leaks_key),
    scenario("self-leaves-file", leaves_file),
    scenario("self-without-baseline", without_baseline),
    scenario("self-leaves-on-purpose", without_baseline).leaves("nothing, in fact"),
    scenario("self-leaves-process", leaves_process),
    scenario("self-leaves-daemon", leaves_daemon),
    scenario("self-leaves-scratch-file", leaves_scratch_file),
    scenario("self-missing-fixture", missing_fixture),
    scenario("self-prints-paths", prints_paths),
    scenario("self-limited", fails).limit("failed", "fails, and that is documented"),
    scenario("self-worse-than-declared", aborts).limit("failed", "fails, and does worse"),
    scenario("self-debug-only", clean).profiles(&[Profile::Debug]),
];

fn main() -> ExitCode {
    runner::main(SCENARIOS)
}

const fn scenario(id: &'static str, run: fn(&mut Run) -> Result<(), Failure>) -> Scenario {
    Scenario::new(id, Feature::SelfTest, run)
}

fn clean(run: &mut Run) -> Result<(), Failure> {
    run.baseline();
    run.observe("sum", 1 + 2);
    run.check_eq("sum", 1 + 2, 3)?;
    run.check(run.temp_dir().is_dir(), "there should be a temporary directory")
}

/// Takes everything that is probed and gives it back: threads, descriptors, heap, files.
fn clean_busy(run: &mut Run) -> Result<(), Failure> {
    run.baseline();
    // glibc keeps stacks and arenas of the threads.
    run.tolerance().mappings = 64;
    for round in 0..20 {
        let path = run.temp_dir().join(round.to_string());
        let file = std::fs::File::create(&path)?;
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(|| vec![1_u8; 3 << 20].len())).collect();
        for thread in threads {
            run.check_eq("length", thread.join().map_err(|_| Failure::new("the thread panicked"))?, 3 << 20)?;
        }
        drop(file);
        std::fs::remove_file(path)?;
    }
    Ok(())
}

fn fails(run: &mut Run) -> Result<(), Failure> {
    run.observe("before", "the failure");
    run.check_eq("answer", 41, 42)
}

fn panics(run: &mut Run) -> Result<(), Failure> {
    run.observe("before", "the panic");
    panic!("no {}", "way");
}

fn panics_elsewhere(run: &mut Run) -> Result<(), Failure> {
    run.baseline();
    let joined = thread::spawn(|| panic!("in the thread")).join();
    run.check(joined.is_err(), "the thread should have panicked")
}

fn segfaults(run: &mut Run) -> Result<(), Failure> {
    run.observe("before", "the crash");
    // SAFETY: asks for a fresh page at no particular place; no memory of ours is concerned.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    // SAFETY: the page was mapped just now without the right to read it, so the read faults before it has a value,
    // and nothing of this program runs after it.
    let value = unsafe { page.cast::<u8>().read_volatile() };
    fail!("read {value} where nothing can be read")
}

fn aborts(_: &mut Run) -> Result<(), Failure> {
    eprintln!("some line");
    eprintln!("the reason why");
    std::process::abort()
}

fn aborts_at_exit(run: &mut Run) -> Result<(), Failure> {
    extern "C" fn at_exit() {
        eprintln!("late");
        std::process::abort()
    }
    // SAFETY: `at_exit` is in this executable, which stays mapped until the process has ended.
    let registered = unsafe { libc::atexit(at_exit) };
    run.check_eq("atexit", registered, 0)
}

fn exits(_: &mut Run) -> Result<(), Failure> {
    eprintln!("giving up");
    std::process::exit(3)
}

fn exits_as_if_ok(run: &mut Run) -> Result<(), Failure> {
    run.observe("before", "the exit");
    std::process::exit(0)
}

fn hangs(run: &mut Run) -> Result<(), Failure> {
    run.observe("before", "the hang");
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

fn eats_memory(run: &mut Run) -> Result<(), Failure> {
    let mut eaten = Vec::new();
    for _ in 0..64 {
        eaten.push(std::hint::black_box(vec![1_u8; 32 << 20]));
    }
    run.check(eaten.is_empty(), "2 GiB should not fit into 512 MiB of address space")
}

/// What these scenarios leak never goes, so there is nothing to wait for.
fn baseline_without_grace(run: &mut Run) {
    run.tolerance().grace = Duration::from_millis(200);
    run.baseline();
}

fn leaks_heap(run: &mut Run) -> Result<(), Failure> {
    baseline_without_grace(run);
    std::mem::forget(std::hint::black_box(vec![1_u8; 1 << 20]));
    Ok(())
}

fn leaks_descriptor(run: &mut Run) -> Result<(), Failure> {
    baseline_without_grace(run);
    std::mem::forget(std::fs::File::open("/dev/zero")?);
    Ok(())
}

fn leaks_thread(run: &mut Run) -> Result<(), Failure> {
    baseline_without_grace(run);
    thread::Builder::new().name("left-alone".into()).spawn(|| {
        loop {
            thread::park();
        }
    })?;
    Ok(())
}

fn leaks_key(run: &mut Run) -> Result<(), Failure> {
    baseline_without_grace(run);
    let mut key = 0;
    // SAFETY: `key` is a live local that the call writes to; no destructor is passed.
    let created = unsafe { libc::pthread_key_create(&mut key, None) };
    run.check_eq("pthread_key_create", created, 0)
}

fn leaves_file(run: &mut Run) -> Result<(), Failure> {
    run.baseline();
    std::fs::write(run.temp_dir().join("staged.so"), "x")?;
    Ok(())
}

fn without_baseline(_: &mut Run) -> Result<(), Failure> {
    Ok(())
}

fn leaves_scratch_file(run: &mut Run) -> Result<(), Failure> {
    run.baseline();
    std::fs::write(run.scratch_dir().join("input.so"), "x")?;
    run.check(
        std::path::Path::new("input.so").is_file(),
        "the scratch directory should be the working directory",
    )
}

fn leaves_process(run: &mut Run) -> Result<(), Failure> {
    run.baseline();
    report_process(run, Command::new("sleep").arg("1000").spawn()?)
}

/// As [`leaves_process`], with a process that has moved to a session of its own.
fn leaves_daemon(run: &mut Run) -> Result<(), Failure> {
    run.baseline();
    let mut command = Command::new("sleep");
    // SAFETY: between fork and exec the closure makes one system call.
    unsafe { command.arg("1000").pre_exec(|| nix::unistd::setsid().map(drop).map_err(Into::into)) };
    report_process(run, command.spawn()?)
}

fn report_process(run: &mut Run, grandchild: Child) -> Result<(), Failure> {
    run.observe("process", format!("pid {}", grandchild.id()));
    // For the test, which looks whether it was killed; a message goes to standard error unredacted.
    eprintln!("grandchild {}", grandchild.id());
    Ok(())
}

fn missing_fixture(run: &mut Run) -> Result<(), Failure> {
    let path = run.fixture("nowhere");
    run.observe("path", path.display());
    Ok(())
}

fn prints_paths(run: &mut Run) -> Result<(), Failure> {
    run.baseline();
    run.observe("temp", run.temp_dir().join("relib-17").join("libx.so").display().to_string());
    run.observe("scratch", run.scratch_dir().join("x").display().to_string());
    run.observe("address", format!("{:p}", &raw const *run));
    run.observe("source", concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    Ok(())
}
