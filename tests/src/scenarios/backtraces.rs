//! Scenarios of the feature "Backtraces".

use std::backtrace::Backtrace;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use fixture_interface::backtraces::{Host, ModuleBacktraces};
use relib::{LoadOptions, Module};
use relib_harness::{Failure, Feature, OrFail, Run, Scenario};

use crate::platform::mappings_of;
use crate::support::{file_name, load_file};

/// The scenarios, in the order of the catalogue.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("backtrace-module", Feature::Backtraces, backtrace_module).not_under_sanitizer(
        "it compares which frames the compiler has left, and the sanitizer's compiler is another",
    ),
    Scenario::new("backtrace-unload", Feature::Backtraces, backtrace_unload),
    Scenario::new("backtrace-host-frames", Feature::Backtraces, backtrace_host_frames),
    Scenario::new("backtrace-two-modules", Feature::Backtraces, backtrace_two_modules),
];

const FIXTURE: &str = "backtrace-module";
const SECOND: &str = "backtrace-second";

/// The backtrace that the host took when it was last called.
static HOST_BACKTRACE: Mutex<String> = Mutex::new(String::new());

#[relib::implement]
impl Host for HostImpl {
    fn called() {
        let text = Backtrace::force_capture().to_string();
        *HOST_BACKTRACE.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

fn load(path: &Path) -> Result<Module<ModuleBacktraces>, Failure> {
    load_file(path, &LoadOptions::new(), HostImpl)
}

/// The frames of a backtrace that have `part` in them, each as `function at file:line`.
fn frames(backtrace: &str, part: &str) -> Vec<String> {
    let mut frames: Vec<String> = Vec::new();
    for line in backtrace.lines().map(str::trim) {
        if let Some(place) = line.strip_prefix("at ") {
            if let Some(frame) = frames.last_mut().filter(|frame| !frame.contains(" at ")) {
                frame.push_str(" at ");
                frame.push_str(place);
            }
        } else if let Some((_, function)) = line.split_once(": ") {
            frames.push(function.to_owned());
        }
    }
    frames.retain(|frame| frame.contains(part));
    frames
}

fn backtrace_module(run: &mut Run) -> Result<(), Failure> {
    let path = run.fixture(FIXTURE);
    let cycle = |run: &Run| -> Result<(String, String), Failure> {
        let module = load(&path)?;
        let taken = module.exports().backtrace().or_fail("backtrace panicked")?;
        run.check(module.exports().panic().is_none(), "panic should panic")?;
        let panic = module.last_panic().or_fail("the panic left no report")?;
        module.unload()?;
        Ok((taken, panic.backtrace))
    };
    cycle(run)?;
    run.baseline();
    let (taken, panic) = cycle(run)?;
    for (key, backtrace) in [("taken", taken), ("in a panic", panic)] {
        let frames = frames(&backtrace, "/backtrace-module/src/lib.rs:");
        run.observe(key, format!("{} frames of the module", frames.len()));
        for frame in frames {
            run.observe(key, frame);
        }
    }
    Ok(())
}

fn backtrace_unload(run: &mut Run) -> Result<(), Failure> {
    let path = run.fixture(FIXTURE);
    let name = file_name(&path);
    let cycle = |run: &Run| -> Result<(), Failure> {
        let module = load(&path)?;
        module.exports().backtrace().or_fail("backtrace panicked")?;
        module.exports().call_host().or_fail("call_host panicked")?;
        run.check(module.exports().panic().is_none(), "panic should panic")?;
        let panic = module.last_panic().or_fail("the panic left no report")?;
        run.check(panic.backtrace.contains("inner"), "the panic's backtrace has no names")?;
        let host = Backtrace::force_capture().to_string();
        run.check(host.contains("backtrace_unload"), "the host's backtrace has no names")?;
        let report = module.unload()?;
        run.check(!report.mappings.is_empty(), "the symboliser of the module should have mapped something")?;
        run.check_eq("mappings of the module's file after the unload", mappings_of(&name)?, 0)
    };
    cycle(run)?;
    run.baseline();
    let before = mappings_of("")?;
    const CYCLES: usize = 10;
    for _ in 0..CYCLES {
        cycle(run)?;
    }
    run.observe("mappings of the module's file after each of 10 unloads", 0);
    // The allocators of the process may have split or joined a few of theirs.
    let more = mappings_of("")?.saturating_sub(before);
    run.check(more < CYCLES, format!("{more} more mappings in {CYCLES} cycles"))
}

fn backtrace_host_frames(run: &mut Run) -> Result<(), Failure> {
    // No warm-up: the first backtrace of the process is taken while frames of a module are on the stack.
    let path = run.fixture(FIXTURE);
    let name = file_name(&path);
    for cycle in 0..3 {
        let module = load(&path)?;
        module.exports().call_host().or_fail("call_host panicked")?;
        let backtrace = std::mem::take(&mut *HOST_BACKTRACE.lock().unwrap_or_else(PoisonError::into_inner));
        let host = frames(&backtrace, "backtrace_host_frames").len();
        run.check_eq("frames of the host", host, 1)?;
        run.observe("named frames of the module", frames(&backtrace, "first_inner").len());
        let all = frames(&backtrace, "");
        let between = all.iter().take_while(|frame| !frame.contains("backtrace_host_frames"));
        let nameless = between.filter(|frame| frame.starts_with("<unknown>")).count();
        run.check(nameless >= 2, format!("only {nameless} frames without a name in\n{backtrace}"))?;
        module.unload()?;
        run.check_eq("mappings of the module's file after the unload", mappings_of(&name)?, 0)?;
        if cycle == 0 {
            run.baseline();
        }
    }
    Ok(())
}

fn backtrace_two_modules(run: &mut Run) -> Result<(), Failure> {
    let (first, second) = (run.fixture(FIXTURE), run.fixture(SECOND));
    let cycle = || -> Result<[String; 2], Failure> {
        let modules = [load(&first)?, load(&second)?];
        let mut taken = [const { String::new() }; 2];
        for (module, taken) in modules.iter().zip(&mut taken) {
            *taken = module.exports().backtrace().or_fail("backtrace panicked")?;
        }
        modules.into_iter().try_for_each(|module| module.unload().map(drop))?;
        Ok(taken)
    };
    cycle()?;
    run.baseline();
    let taken = cycle()?;
    for (name, backtrace) in ["first", "second"].into_iter().zip(taken) {
        for function in ["first_outer", "first_inner", "second_outer", "second_inner"] {
            let found = frames(&backtrace, function).len();
            run.check_eq(&format!("{function} in the {name} module"), found > 0, function.starts_with(name))?;
        }
    }
    run.observe("each backtrace names", "the functions of its own module, and not those of the other");
    Ok(())
}
