//! Scenarios of the feature "Thread-locals".

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use fixture_interface::thread_locals::{Drops, ModuleStaticThreadLocal, ModuleThreadLocals};
use relib::{LoadOptions, Module};
use relib_harness::{Failure, Feature, OrFail, Run, Scenario};

use crate::support::{SECONDS, allow_for_threads, load_file};

/// The scenarios, in the order of the catalogue.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("tls-drop", Feature::ThreadLocals, tls_drop),
    Scenario::new("tls-drop-allocates", Feature::ThreadLocals, tls_drop_allocates),
    Scenario::new("tls-drop-nested", Feature::ThreadLocals, tls_drop_nested),
    Scenario::new("tls-drop-calls-import", Feature::ThreadLocals, tls_drop_calls_import),
    Scenario::new("tls-module-thread", Feature::ThreadLocals, tls_module_thread),
    Scenario::new("tls-host-thread-exited", Feature::ThreadLocals, tls_host_thread_exited),
    Scenario::new("tls-host-thread-nested", Feature::ThreadLocals, tls_host_thread_nested),
    Scenario::new("tls-host-thread-ending", Feature::ThreadLocals, tls_host_thread_ending),
    Scenario::new("tls-host-thread-late", Feature::ThreadLocals, tls_host_thread_late),
    Scenario::new("tls-host-thread-alive", Feature::ThreadLocals, tls_host_thread_alive),
    Scenario::new(
        "tls-host-thread-system",
        Feature::ThreadLocals,
        body_on!("windows", windows::tls_host_thread_system),
    )
    .windows_only("elsewhere std's threads and those of C code begin and end in the same way"),
    Scenario::new("tls-release-anew", Feature::ThreadLocals, tls_release_anew),
    Scenario::new("tls-static", Feature::ThreadLocals, tls_static),
    Scenario::new("tls-release-in-call", Feature::ThreadLocals, tls_release_in_call),
    Scenario::new("tls-unload-in-drop", Feature::ThreadLocals, tls_unload_in_drop),
    Scenario::new("tls-key", Feature::ThreadLocals, tls_key),
    Scenario::new("tls-scoped-slow-drop", Feature::ThreadLocals, tls_scoped_slow_drop),
    Scenario::new("tls-many-keys", Feature::ThreadLocals, tls_many_keys).time_limit_secs(300),
];

#[cfg(windows)]
mod windows;

const FIXTURE: &str = "thread-locals";

type Loaded = Module<ModuleThreadLocals>;

/// What destructors have reported, with the thread that each ran on.
static DROPPED: Mutex<Vec<(String, usize)>> = Mutex::new(Vec::new());

/// What an import is to do with the module, in the scenarios where it is the one that has it.
static MODULE: Mutex<Option<Loaded>> = Mutex::new(None);
static IN_IMPORT: Mutex<Option<fn(&str)>> = Mutex::new(None);

/// Where the next slow destructor stops.
static GATE: Mutex<Option<Gate>> = Mutex::new(None);

/// Says that a destructor has begun, and holds it until the other end of `release` is gone.
struct Gate {
    begun: mpsc::Sender<()>,
    release: mpsc::Receiver<()>,
}

/// Has the next slow destructor stop. The first channel says that it has begun; dropping the other end lets it go on.
fn gate() -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (begun, has_begun) = mpsc::channel();
    let (releasing, release) = mpsc::channel();
    *GATE.lock().unwrap() = Some(Gate { begun, release });
    (has_begun, releasing)
}

#[relib::implement]
impl Drops for ModuleDropsImpl {
    fn dropping(_name: &str) {
        let gate = GATE.lock().unwrap().take();
        if let Some(gate) = gate {
            gate.begun.send(()).unwrap();
            // An error means that the sender is gone, which is the release.
            let _ = gate.release.recv();
        }
    }

    fn dropped(name: &str) {
        DROPPED.lock().unwrap().push((name.to_owned(), this_thread()));
        in_import(name);
    }

    fn called_back() {
        in_import("called back");
    }
}

fn in_import(what: &str) {
    let body = *IN_IMPORT.lock().unwrap();
    if let Some(body) = body {
        body(what);
    }
}

/// Tells living threads apart, also while their thread-local objects are being destroyed.
fn this_thread() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}

fn load(run: &Run) -> Result<Loaded, Failure> {
    load_file(&run.fixture(FIXTURE), &LoadOptions::new(), ModuleDropsImpl)
}

fn warm_up(run: &mut Run) -> Result<(), Failure> {
    let module = load(run)?;
    module.exports().touch("warm-up").or_fail("touch panicked")?;
    module.exports().set_key("warm-up").or_fail("set_key panicked")?;
    module.unload()?;
    DROPPED.lock().unwrap().clear();
    run.baseline();
    Ok(())
}

/// The names that were reported since the last call.
fn take_dropped() -> Vec<String> {
    std::mem::take(&mut *DROPPED.lock().unwrap()).into_iter().map(|(name, _)| name).collect()
}

/// Observes what has been reported, and that it was on the calling thread.
fn observe_own_drops(run: &mut Run, when: &str) -> Result<(), Failure> {
    let all_here = DROPPED.lock().unwrap().iter().all(|(_, thread)| *thread == this_thread());
    run.check(all_here, format!("a destructor ran on another thread {when}"))?;
    run.observe(when, take_dropped().join(", "));
    Ok(())
}

fn tls_drop(run: &mut Run) -> Result<(), Failure> {
    warm_up(run)?;
    let module = load(run)?;
    module.exports().touch("object").or_fail("touch panicked")?;
    run.check_eq("before the unload", take_dropped(), Vec::<String>::new())?;
    let report = module.unload()?;
    observe_own_drops(run, "dropped at unload")?;
    run.check_eq("blocks left", report.memory.blocks, idle_blocks(run)?)
}

/// The blocks that a module holds which was loaded and not called.
fn idle_blocks(run: &Run) -> Result<usize, Failure> {
    Ok(load(run)?.unload()?.memory.blocks)
}

fn tls_drop_allocates(run: &mut Run) -> Result<(), Failure> {
    warm_up(run)?;
    let module = load(run)?;
    module.exports().touch_allocating("object").or_fail("touch_allocating panicked")?;
    module.unload()?;
    observe_own_drops(run, "dropped at unload")
}

fn tls_drop_nested(run: &mut Run) -> Result<(), Failure> {
    warm_up(run)?;
    let module = load(run)?;
    module.exports().touch_nested("outer").or_fail("touch_nested panicked")?;
    module.unload()?;
    observe_own_drops(run, "dropped at unload")
}

fn tls_drop_calls_import(run: &mut Run) -> Result<(), Failure> {
    warm_up(run)?;
    // The import calls the module in its turn, which makes a new object while the old one is being dropped.
    *MODULE.lock().unwrap() = Some(load(run)?);
    *IN_IMPORT.lock().unwrap() = Some(|name| {
        if name == "object" {
            let module = MODULE.lock().unwrap();
            module.as_ref().unwrap().exports().touch_allocating("from the import").unwrap();
        }
    });
    let module = MODULE.lock().unwrap();
    let loaded = module.as_ref().or_fail("the module is there")?;
    loaded.exports().touch("object").or_fail("touch panicked")?;
    drop(module);
    thread::spawn(|| {
        let module = MODULE.lock().unwrap();
        module.as_ref().unwrap().exports().touch("object").unwrap();
    })
    .join()
    .unwrap();
    run.observe("dropped at the end of a thread", take_dropped().join(", "));
    *IN_IMPORT.lock().unwrap() = None;
    let module = MODULE.lock().unwrap().take().or_fail("the module is there")?;
    module.unload()?;
    observe_own_drops(run, "dropped at unload")
}

fn tls_module_thread(run: &mut Run) -> Result<(), Failure> {
    warm_up(run)?;
    let module = load(run)?;
    // Nobody joins the thread, so that only the unload waits for its destructors.
    module.exports().touch_on_detached_thread("object", 20).or_fail("touch_on_detached_thread panicked")?;
    module.unload_within(SECONDS)?;
    let here = DROPPED.lock().unwrap().iter().any(|(_, thread)| *thread == this_thread());
    run.check(!here, "a destructor of the module's thread ran on another thread")?;
    run.observe("dropped by the time the unload returns", take_dropped().join(", "));
    Ok(())
}

fn tls_host_thread_exited(run: &mut Run) -> Result<(), Failure> {
    warm_up(run)?;
    let module = load(run)?;
    on_thread(|| {
        module.exports().touch("object").or_fail("touch panicked")?;
        module.exports().touch_allocating("another object").or_fail("touch_allocating panicked")
    })?;
    let here = DROPPED.lock().unwrap().iter().any(|(_, thread)| *thread == this_thread());
    run.check(!here, "a destructor of the ended thread ran on another thread")?;
    run.observe("dropped at the end of the thread", take_dropped().join(", "));
    module.unload()?;
    run.check_eq("dropped at unload", take_dropped(), Vec::<String>::new())
}

/// Runs `body` on a thread of the host and waits until the thread is gone, which is later than the end of a scope.
fn on_thread<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(body).join().unwrap())
}

fn tls_host_thread_nested(run: &mut Run) -> Result<(), Failure> {
    warm_up(run)?;
    let module = load(run)?;
    on_thread(|| module.exports().touch_nested("outer")).or_fail("touch_nested panicked")?;
    run.observe("dropped at the end of the thread", take_dropped().join(", "));
    module.unload()?;
    run.check_eq("dropped at unload", take_dropped(), Vec::<String>::new())
}

fn tls_host_thread_ending(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    warm_up(run)?;
    for _ in 0..20 {
        let module = load(run)?;
        // A scope does not wait for destructors: when it has ended, this one is about to run, runs, or has just run.
        thread::scope(|scope| {
            scope.spawn(|| module.exports().touch_slow("slow", 5));
        });
        module.unload_within(SECONDS)?;
    }
    run.observe("dropped by 20 ending threads", take_dropped().len());

    // A plain unload gives a destructor that runs a second.
    let module = load(run)?;
    let (has_begun, releasing) = gate();
    drop(releasing);
    thread::scope(|scope| {
        scope.spawn(|| module.exports().touch_slow("very slow", 100));
    });
    has_begun.recv()?;
    module.unload()?;
    run.observe("dropped in the grace period", take_dropped().join(", "));

    // One that takes longer is named.
    let module = load(run)?;
    let caller = Caller::start("slow-caller");
    let (has_begun, releasing) = gate();
    let module = caller.call(module, |module| module.exports().touch_slow("too slow", 0).unwrap());
    let thread = caller.end();
    has_begun.recv()?;
    let failed = module.unload().err().or_fail("unloaded while a destructor ran")?;
    run.observe("error", &failed);
    drop(releasing);
    thread.join().unwrap();
    failed.into_module().unload()?;
    run.observe("dropped in the end", take_dropped().join(", "));
    Ok(())
}

/// A module, and what to do with it on another thread.
type Call<L> = (L, fn(&L));

/// A thread of the host that calls a module which is handed to it, and lives on.
struct Caller<L = Loaded> {
    calls: mpsc::Sender<Call<L>>,
    returns: mpsc::Receiver<L>,
    thread: thread::JoinHandle<()>,
}

impl<L: Send + 'static> Caller<L> {
    fn start(name: &str) -> Self {
        let (calls, receiver) = mpsc::channel::<Call<L>>();
        let (sender, returns) = mpsc::channel();
        let body = move || {
            for (module, call) in receiver {
                call(&module);
                sender.send(module).unwrap();
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(body).unwrap();
        Self { calls, returns, thread }
    }

    fn call(&self, module: L, call: fn(&L)) -> L {
        self.calls.send((module, call)).unwrap();
        self.returns.recv().unwrap()
    }

    /// Lets the thread end.
    fn end(self) -> thread::JoinHandle<()> {
        self.thread
    }
}

thread_local! {
    /// Calls the module when it is dropped. Whoever touches it before the module has it dropped after relib's own.
    static LATE: Cell<Option<fn()>> = const { Cell::new(None) };
    static LATE_GUARD: RefCell<LateGuard> = const { RefCell::new(LateGuard) };
}

struct LateGuard;

impl Drop for LateGuard {
    fn drop(&mut self) {
        if let Some(call) = LATE.get() {
            call();
        }
    }
}

fn tls_host_thread_late(run: &mut Run) -> Result<(), Failure> {
    warm_up(run)?;
    *MODULE.lock().unwrap() = Some(load(run)?);
    thread::spawn(|| {
        LATE_GUARD.with_borrow_mut(|_| ());
        LATE.set(Some(|| {
            let module = MODULE.lock().unwrap();
            module.as_ref().unwrap().exports().touch_allocating("late").unwrap();
            module.as_ref().unwrap().exports().set_key("late").unwrap();
        }));
        let module = MODULE.lock().unwrap();
        module.as_ref().unwrap().exports().touch("object").unwrap();
    })
    .join()
    .unwrap();
    // What the late call has made is lost to destructors, as documented, and reclaimed with the module.
    run.observe("dropped at the end of the thread", take_dropped().join(", "));
    let module = MODULE.lock().unwrap().take().or_fail("the module is there")?;
    module.unload()?;
    run.check_eq("dropped at unload", take_dropped(), Vec::<String>::new())
}

fn tls_host_thread_alive(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    warm_up(run)?;
    let releasing = Caller::start("releasing");
    let ending = Caller::start("ending");
    let mut module = load(run)?;
    for caller in [&releasing, &ending] {
        module = caller.call(module, |module| module.exports().touch("object").unwrap());
    }
    let failed = module.unload().err().or_fail("unloaded although two threads hold objects")?;
    run.observe("error with two threads", &failed);
    run.check_eq("dropped by then", take_dropped(), Vec::<String>::new())?;

    let module = releasing.call(failed.into_module(), |module| module.release_thread().unwrap());
    run.observe("dropped by release_thread", take_dropped().join(", "));
    let failed = module.unload().err().or_fail("unloaded although a thread holds an object")?;
    run.observe("error with one thread", &failed);

    ending.end().join().unwrap();
    run.observe("dropped at the end of the thread", take_dropped().join(", "));
    failed.into_module().unload()?;
    run.check_eq("dropped at unload", take_dropped(), Vec::<String>::new())?;
    releasing.end().join().unwrap();
    run.check_eq("dropped after the unload", take_dropped(), Vec::<String>::new())
}

fn tls_release_anew(run: &mut Run) -> Result<(), Failure> {
    warm_up(run)?;
    let module = load(run)?;
    for round in 1..=3 {
        module.exports().touch(&format!("object {round}")).or_fail("touch panicked")?;
        module.exports().touch("not made, there is one").or_fail("touch panicked")?;
        module.exports().set_key(&format!("value {round}")).or_fail("set_key panicked")?;
        module.exports().count().or_fail("count panicked")?;
        run.check_eq("count", module.exports().count(), Some(2))?;
        module.release_thread()?;
        run.observe("released", take_dropped().join(", "));
    }
    // An object without destructor begins anew too, though nothing was there to be dropped.
    run.check_eq("count after a release", module.exports().count(), Some(1))?;
    module.release_thread()?;
    run.check_eq("count after another", module.exports().count(), Some(1))?;
    module.unload()?;
    run.check_eq("dropped at unload", take_dropped(), Vec::<String>::new())
}

/// The place of such a thread-local is there on a thread that was there before the module, and that has never asked the
/// loader for anything of it.
fn tls_static(run: &mut Run) -> Result<(), Failure> {
    const COUNT_TWICE: fn(&Module<ModuleStaticThreadLocal>) = |module| {
        assert_eq!(module.exports().count(), Some(1));
        assert_eq!(module.exports().count(), Some(2));
    };
    const COUNT_AND_RELEASE: fn(&Module<ModuleStaticThreadLocal>) = |module| {
        COUNT_TWICE(module);
        module.release_thread().unwrap();
    };
    allow_for_threads(run);
    let load = |run: &Run| -> Result<Module<ModuleStaticThreadLocal>, Failure> {
        load_file(&run.fixture("thread-locals-static"), &LoadOptions::new(), ())
    };
    load(run)?.unload()?;
    run.baseline();
    let caller = Caller::start("caller");
    // Whatever the next image has at this place begins anew as well.
    for _ in 0..2 {
        let mut module = load(run)?;
        for _ in 0..3 {
            module = caller.call(module, COUNT_AND_RELEASE);
            COUNT_AND_RELEASE(&module);
        }
        COUNT_TWICE(&module);
        module.unload()?;
    }
    caller.end().join().unwrap();
    run.observe("counts that began anew", "on both threads");
    Ok(())
}

fn tls_release_in_call(run: &mut Run) -> Result<(), Failure> {
    warm_up(run)?;
    static SHARED: Mutex<Option<Arc<Loaded>>> = Mutex::new(None);
    static RESULT: Mutex<Option<String>> = Mutex::new(None);
    let module = Arc::new(load(run)?);
    *SHARED.lock().unwrap() = Some(Arc::clone(&module));
    *IN_IMPORT.lock().unwrap() = Some(|_| {
        let module = SHARED.lock().unwrap().take().unwrap();
        *RESULT.lock().unwrap() = module.release_thread().err().map(|error| error.to_string());
    });
    module.exports().touch("object").or_fail("touch panicked")?;
    module.exports().call_back().or_fail("call_back panicked")?;
    *IN_IMPORT.lock().unwrap() = None;
    let error = RESULT.lock().unwrap().take().or_fail("the thread was released")?;
    run.observe("release_thread in an import", error);
    run.check_eq("dropped by that", take_dropped(), Vec::<String>::new())?;
    module.release_thread()?;
    run.observe("dropped when released afterwards", take_dropped().join(", "));
    Arc::into_inner(module).or_fail("the module is still shared")?.unload()?;
    Ok(())
}

fn tls_unload_in_drop(run: &mut Run) -> Result<(), Failure> {
    warm_up(run)?;
    static RESULT: Mutex<Option<String>> = Mutex::new(None);
    *MODULE.lock().unwrap() = Some(load(run)?);
    *IN_IMPORT.lock().unwrap() = Some(|_| {
        // Code of the module runs on this thread, so the unload has to be refused.
        let module = MODULE.lock().unwrap().take().unwrap();
        let result = match module.unload() {
            Ok(_) => "unloaded".to_owned(),
            Err(failed) => {
                let (error, module) = failed.into_parts();
                *MODULE.lock().unwrap() = Some(module);
                error.to_string()
            }
        };
        *RESULT.lock().unwrap() = Some(result);
    });
    let thread = thread::Builder::new().name("ending".to_owned()).spawn(|| {
        let module = MODULE.lock().unwrap();
        module.as_ref().unwrap().exports().touch("object").unwrap();
    });
    thread?.join().unwrap();
    *IN_IMPORT.lock().unwrap() = None;
    let result = RESULT.lock().unwrap().take().or_fail("the destructor did not run")?;
    run.observe("unload in an import that a destructor calls", result);
    let module = MODULE.lock().unwrap().take().or_fail("the module is there")?;
    module.unload()?;
    run.observe("dropped", take_dropped().join(", "));
    Ok(())
}

fn tls_key(run: &mut Run) -> Result<(), Failure> {
    warm_up(run)?;
    let module = load(run)?;
    module.exports().set_key("of the unloading thread").or_fail("set_key panicked")?;
    on_thread(|| module.exports().set_key("of an ended thread")).or_fail("set_key panicked")?;
    run.observe("dropped at the end of the thread", take_dropped().join(", "));
    let caller = Caller::start("caller");
    let module = caller.call(module, |module| module.exports().set_key("of a living thread").unwrap());
    let failed = module.unload().err().or_fail("unloaded although a thread holds a value")?;
    run.observe("error", &failed);
    run.check_eq("dropped by the refused unload", take_dropped(), Vec::<String>::new())?;
    let module = caller.call(failed.into_module(), |module| module.exports().clear_key().unwrap());
    let report = module.unload()?;
    run.observe("dropped by the unload after the value was taken back", take_dropped().join(", "));
    run.observe("keys deleted", report.keys);
    caller.end().join().unwrap();
    Ok(())
}

fn tls_scoped_slow_drop(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    warm_up(run)?;
    const THREADS: usize = 4;
    for _ in 0..20 {
        let module = load(run)?;
        module.exports().touch_slow_in_scope(THREADS, 2).or_fail("touch_slow_in_scope panicked")?;
        // An error would be one that names the threads; with a limit of seconds there is none.
        module.unload_within(SECONDS)?;
        run.check_eq("destructors that ran", take_dropped().len(), THREADS)?;
    }
    run.observe("unloads right after a scope", 20);
    Ok(())
}

fn tls_many_keys(run: &mut Run) -> Result<(), Failure> {
    warm_up(run)?;
    // More than the keys that a process can have: 1024, or the 1088 slots of Windows.
    const CYCLES: usize = 1200;
    for _ in 0..CYCLES {
        let module = load(run)?;
        module.exports().touch("object").or_fail("touch panicked")?;
        module.exports().set_key("value").or_fail("set_key panicked")?;
        module.unload()?;
        run.check_eq("destructors that ran", take_dropped().len(), 2)?;
    }
    run.observe("cycles", CYCLES);
    Ok(())
}
