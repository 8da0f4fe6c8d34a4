//! Scenarios of the feature "Panic handling".

use std::sync::RwLock;

use fixture_interface::load::ModuleCounter;
use fixture_interface::panics::{Host, ModuleCaller, ModulePanics, ModuleUnwilling};
use relib::{ExportsHandle, LoadError, Module, PanicInfo, UnloadError};
use relib_harness::{Failure, Feature, OrFail, Run, Scenario};

use crate::support::{TRACE, load, load_error, load_file, scratch_copy, warm_up};

/// The scenarios, in the order of the catalogue.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("panic-main", Feature::Panics, panic_main),
    Scenario::new("panic-export", Feature::Panics, panic_export),
    Scenario::new("panic-before-unload", Feature::Panics, panic_before_unload),
    Scenario::new("panic-payload", Feature::Panics, panic_payload),
    Scenario::new("panic-again", Feature::Panics, panic_again),
    Scenario::new("panic-import", Feature::Panics, panic_import),
    Scenario::new("panic-thread", Feature::Panics, panic_thread),
    Scenario::new("panic-nested", Feature::Panics, panic_nested),
    Scenario::new("panic-double", Feature::Panics, panic_double).limit(
        "abort",
        "a panic in a destructor that runs because of another panic aborts the process, as in any Rust program",
    ),
    Scenario::new("panic-abort-module", Feature::Panics, panic_abort_module)
        .linux_only("its fixture needs a std of its own there, which takes minutes to build"),
];

/// The report of the module's last panic.
fn last_panic<E: ExportsHandle>(module: &Module<E>) -> Result<PanicInfo, Failure> {
    module.last_panic().or_fail("there is no report of the panic")
}

/// Checks that a report has a place in the fixture's source and a backtrace that shows `frame`, and records the rest.
fn observe_panic(run: &mut Run, key: &str, info: &PanicInfo, frame: &str) -> Result<(), Failure> {
    let location = info.location.as_ref().or_fail("the panic has no location")?;
    run.check(location.line > 0 && location.column > 0, format!("the location is {location}"))?;
    run.check(
        info.backtrace.contains(frame),
        format!("{frame} is not in the backtrace:\n{}", info.backtrace),
    )?;
    run.observe(key, format!("{} at {}", info.message, location.file));
    Ok(())
}

/// One panic whose report is read, which fills the caches of the host's unwinder.
fn warm_up_panics(run: &mut Run) -> Result<(), Failure> {
    let module = load::<ModulePanics>(run, "panics")?;
    let _ = module.exports().panic_with("warm-up");
    last_panic(&module)?;
    module.unload()?;
    run.baseline();
    Ok(())
}

fn panic_main(run: &mut Run) -> Result<(), Failure> {
    warm_up_panics(run)?;
    let module = load::<()>(run, "panic-main")?;
    run.check(module.last_panic().is_none(), "there is a report before any panic")?;
    run.check_eq("call_main", module.call_main::<String>(), None)?;
    observe_panic(run, "panic", &last_panic(&module)?, "panic-main/src/lib.rs")?;
    let error = module.try_call_main::<String>().expect_err("main panics each time");
    run.observe("error", error);
    module.unload()?;
    Ok(())
}

fn panic_export(run: &mut Run) -> Result<(), Failure> {
    warm_up_panics(run)?;
    let module = load::<ModulePanics>(run, "panics")?;
    let exports = module.exports();
    run.check_eq("panic_with", exports.panic_with("the first"), None)?;
    observe_panic(run, "panic", &last_panic(&module)?, "panic_with")?;
    run.check_eq("echo", exports.echo(1), Some(1))?;
    // The report is that of the last panic, whichever thread it was on.
    std::thread::scope(|scope| {
        scope.spawn(|| exports.panic_with("the second: naïve ☃")).join().expect("the host does not panic")
    });
    observe_panic(run, "panic on another thread", &last_panic(&module)?, "panic_with")?;
    let large = "x".repeat(1 << 20);
    run.check_eq("panic_with", exports.panic_with(&large), None)?;
    run.check(last_panic(&module)?.message == large, "a long message was changed")?;
    // What the module catches by itself is nobody else's business.
    run.check_eq("catch", exports.catch("caught").as_deref(), Some("caught"))?;
    run.check(last_panic(&module)?.message == large, "a caught panic was reported")?;
    module.unload()?;
    Ok(())
}

fn panic_before_unload(run: &mut Run) -> Result<(), Failure> {
    warm_up_panics(run)?;
    let module = load::<ModuleUnwilling>(run, "panic-main")?;
    module.exports().refuse(true).or_fail("refuse panicked")?;
    let failed = module.unload().err().or_fail("the module was unloaded although before_unload panicked")?;
    let UnloadError::BeforeUnloadPanicked(info) = failed.error() else {
        return Err(failed.into());
    };
    let location = info.location.clone().or_fail("the panic has no location")?;
    run.observe("error", failed.to_string().replace(&location.to_string(), &location.file));
    observe_panic(run, "panic", info, "before_unload")?;
    let module = failed.into_module();
    module.exports().refuse(false).or_fail("the module cannot be called after a failed unload")?;
    module.unload()?;
    Ok(())
}

fn panic_payload(run: &mut Run) -> Result<(), Failure> {
    warm_up_panics(run)?;
    let module = load::<ModulePanics>(run, "panics")?;
    let exports = module.exports();
    panic_often(run, &module, || exports.panic_with_number())?;
    observe_panic(run, "a number", &last_panic(&module)?, "panic_with_number")?;
    panic_often(run, &module, || exports.panic_with_bomb())?;
    let panic = last_panic(&module)?;
    observe_panic(run, "a payload whose drop panics", &panic, "panic_with_bomb")?;
    let of_the_drop = panic.backtrace.contains("as core::ops::drop::Drop");
    run.check(!of_the_drop, format!("the report is of the payload's drop:\n{}", panic.backtrace))?;
    run.check_eq("echo", exports.echo(1), Some(1))?;
    module.unload()?;
    Ok(())
}

/// Has an export panic a thousand times, which must not fill the module's heap.
fn panic_often<R: std::fmt::Debug + PartialEq>(
    run: &Run,
    module: &Module<ModulePanics>,
    panics: impl Fn() -> Option<R>,
) -> Result<(), Failure> {
    run.check_eq("what a panicking export returns", panics(), None)?;
    let after_first = module.memory().blocks;
    for _ in 1..1000 {
        run.check_eq("what a panicking export returns", panics(), None)?;
    }
    let grown = module.memory().blocks.saturating_sub(after_first);
    run.check(grown < 50, format!("999 panics left {grown} blocks in the module's heap"))
}

fn panic_again(run: &mut Run) -> Result<(), Failure> {
    warm_up_panics(run)?;
    let module = load::<ModulePanics>(run, "panics")?;
    let exports = module.exports();
    let mut after_first = None;
    for number in 0..1000 {
        run.check_eq("panic_with", exports.panic_with(&format!("panic {number}")), None)?;
        run.check_eq("echo", exports.echo(number), Some(number))?;
        after_first.get_or_insert_with(|| module.memory().blocks);
    }
    let grown = module.memory().blocks.saturating_sub(after_first.unwrap_or_default());
    run.check(grown < 50, format!("999 panics left {grown} blocks in the module's heap"))?;
    observe_panic(run, "the last", &last_panic(&module)?, "panic_with")?;
    module.unload()?;
    Ok(())
}

/// The module that the imports call.
static CALLER: RwLock<Option<Module<ModuleCaller>>> = RwLock::new(None);

#[relib::implement]
impl Host for HostImpl {
    fn fail(message: &str) -> String {
        panic!("{message}");
    }

    fn call_fail(message: &str) -> String {
        let module = CALLER.read().expect("nobody panics while writing");
        let module = module.as_ref().expect("the module that calls is loaded");
        let returned = module.exports().fail(message);
        let panic = module.last_panic().map(|panic| panic.message);
        format!("{returned:?} after {panic:?}")
    }

    fn pass_fail(message: &str) -> String {
        let module = CALLER.read().expect("nobody panics while writing");
        let module = module.as_ref().expect("the module that calls is loaded");
        let returned = module.exports().fail(message);
        let () = returned.expect("the export returned nothing");
        String::new()
    }
}

/// Runs `body` with `panic-import`, once to warm up.
fn with_caller(
    run: &mut Run,
    body: impl Fn(&mut Run, &Module<ModuleCaller>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for warm in [false, true] {
        let module = load_file(&run.fixture("panic-import"), &Default::default(), HostImpl)?;
        *CALLER.write().expect("nobody panics while writing") = Some(module);
        if warm {
            let module = CALLER.read().expect("nobody panics while writing");
            body(run, module.as_ref().or_fail("the module is gone")?)?;
        } else {
            let module = CALLER.read().expect("nobody panics while writing");
            let module = module.as_ref().or_fail("the module is gone")?;
            let _ = module.exports().pass_nested("warm-up");
            last_panic(module)?;
        }
        let module = CALLER.write().expect("nobody panics while writing").take();
        module.or_fail("the module is gone")?.unload()?;
        if !warm {
            run.baseline();
        }
    }
    Ok(())
}

fn panic_import(run: &mut Run) -> Result<(), Failure> {
    with_caller(run, |run, module| {
        let exports = module.exports();
        run.check_eq("call_failing", exports.call_failing("in the host"), None)?;
        observe_panic(run, "panic", &last_panic(module)?, "call_failing")?;
        let caught = exports.catch_failing("in the host").or_fail("catch_failing panicked")?;
        run.observe("caught by the module", caught);
        run.check_eq("echo", exports.echo(1), Some(1))
    })
}

fn panic_thread(run: &mut Run) -> Result<(), Failure> {
    warm_up_panics(run)?;
    let module = load::<ModulePanics>(run, "panics")?;
    let message = module.exports().panic_in_thread("in a thread").or_fail("the panic reached the export")?;
    run.observe("joined with", message);
    run.check(module.last_panic().is_none(), "the panic of the thread was reported as the export's")?;
    run.check_eq("echo", module.exports().echo(1), Some(1))?;
    module.unload()?;
    Ok(())
}

fn panic_nested(run: &mut Run) -> Result<(), Failure> {
    with_caller(run, |run, module| {
        let exports = module.exports();
        let text = exports.call_nested("at the bottom").or_fail("call_nested panicked")?;
        run.observe("an import that returns", text);
        run.check_eq("pass_nested", exports.pass_nested("at the bottom"), None)?;
        observe_panic(run, "an import that panics", &last_panic(module)?, "pass_nested")?;
        run.check_eq("echo", exports.echo(1), Some(1))
    })
}

fn panic_double(run: &mut Run) -> Result<(), Failure> {
    let module = load::<ModulePanics>(run, "panics")?;
    let returned = module.exports().panic_twice();
    module.unload()?;
    run.check_eq("panic_twice", returned, None)
}

fn panic_abort_module(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleCounter>(run, "load-constructor")?;
    run.check(std::fs::remove_file(TRACE).is_ok(), "a constructor that ran left no trace")?;
    let path = scratch_copy(run, "panic-abort-module", "abort.so", |_| ())?;
    let error = load_error::<ModuleCounter>(&path, &Default::default())?;
    run.check(matches!(error, LoadError::PanicAbort { .. }), format!("another error: {error}"))?;
    run.observe("error", error);
    run.check(!std::fs::exists(TRACE)?, "the module's constructor ran")
}
