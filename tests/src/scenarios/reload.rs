//! Scenarios of the feature "Reload".

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use fixture_interface::backtraces::ModuleBacktraces;
use fixture_interface::exports_imports::ModuleStrings;
use fixture_interface::load::ModuleCounter;
use fixture_interface::reload::{ModuleStateful, ModuleVersion, State, Store};
use relib::{LoadError, LoadOptions, Module};
use relib_harness::{Failure, Feature, OrFail, Run, Scenario};

use crate::platform::{LIBRARY_EXTENSION, SLOWNESS, write_alone};
use crate::project::{Project, replace};
use crate::scenarios::backtraces::HostImpl;
use crate::scenarios::reloader;
use crate::soak;
use crate::support::{allow_for_threads, load_error, load_file, reason, warm_up};

/// The scenarios, in the order of the catalogue.
pub const SCENARIOS: &[Scenario] = &[
    // Those that run cargo: the compiler inherits the limits, and has its own needs.
    Scenario::new("reload-changed-code", Feature::Reload, reload_changed_code)
        .time_limit_secs(300)
        .address_space(None)
        .linux_only("it runs cargo, which there is none of under Wine"),
    // 146 seconds were measured in debug on a busy machine.
    Scenario::new("reload-thousand", Feature::Reload, reload_thousand).time_limit_secs(900),
    Scenario::new("reload-overwritten", Feature::Reload, reload_overwritten),
    Scenario::new("reload-original-replaced", Feature::Reload, reload_original_replaced),
    Scenario::new("reload-broken-build", Feature::Reload, reload_broken_build)
        .time_limit_secs(300)
        .address_space(None)
        .linux_only("it runs cargo, which there is none of under Wine"),
    Scenario::new("reload-state", Feature::Reload, reload_state),
    Scenario::new("reloader-edits", Feature::Reload, reloader::edits)
        .time_limit_secs(300)
        .address_space(None)
        .linux_only("it runs cargo, which there is none of under Wine"),
    Scenario::new("reloader-files", Feature::Reload, reloader::files),
    Scenario::new("reloader-links", Feature::Reload, reloader::links)
        .linux_only("Windows asks for a right to make links that few have, and Wine makes none"),
    Scenario::new("reloader-on-request", Feature::Reload, reloader::on_request),
    Scenario::new("reloader-several", Feature::Reload, reloader::several),
    Scenario::new("reloader-refuse", Feature::Reload, reloader::refuse),
    Scenario::new("reloader-wait", Feature::Reload, reloader::wait),
    Scenario::new("reloader-zombie", Feature::Reload, reloader::zombie),
    Scenario::new("reloader-host-state", Feature::Reload, reloader::host_state),
    Scenario::new("reloader-heap-state", Feature::Reload, reloader::heap_state),
    Scenario::new("reloader-heap-state-moved", Feature::Reload, reloader::heap_state_moved),
    Scenario::new("reloader-heap-state-between", Feature::Reload, reloader::heap_state_between),
    Scenario::new("reloader-heap-state-changed", Feature::Reload, reloader::heap_state_changed)
        .time_limit_secs(300)
        .address_space(None)
        .linux_only("it runs cargo, which there is none of under Wine"),
    Scenario::new("reloader-saved-state", Feature::Reload, reloader::saved_state)
        .time_limit_secs(300)
        .address_space(None)
        .linux_only("it runs cargo, which there is none of under Wine"),
];

fn version(module: &Module<ModuleVersion>) -> Result<u32, Failure> {
    module.exports().version().or_fail("version panicked")
}

fn load(path: &Path) -> Result<Module<ModuleVersion>, Failure> {
    load_file(path, &LoadOptions::new(), ())
}

fn reload_changed_code(run: &mut Run) -> Result<(), Failure> {
    let project = Project::copy(run, "reload-version", "reload-changed-code")?;
    let path = project.build()?;
    load(&path)?.unload()?;
    run.baseline();

    let mut module = load(&path)?;
    run.observe("first build", version(&module)?);
    for (from, to, key) in [("1", "2", "second build"), ("2", "3", "third build")] {
        project.edit("module/src/lib.rs", &format!("        {from}\n"), &format!("        {to}\n"))?;
        // Built while the old one is loaded.
        let path = project.build()?;
        run.observe("the module that is loaded meanwhile", version(&module)?);
        module.unload()?;
        module = load(&path)?;
        run.observe(key, version(&module)?);
    }
    module.unload()?;
    Ok(())
}

fn reload_thousand(run: &mut Run) -> Result<(), Failure> {
    allow_for_threads(run);
    const CYCLES: u64 = 1000 / SLOWNESS as u64;
    let path = run.fixture(soak::FIXTURE);
    soak::warm_up(&path)?;
    run.baseline();
    let before = soak::probe(&path)?;
    (0..CYCLES).try_for_each(|n| soak::cycle(&path, n))?;
    let mut after = soak::probe(&path)?;
    if run.is_sanitized() {
        // What was freed stays in the sanitizer's quarantine, in mappings of its own.
        (after.mappings, after.resident) = (before.mappings, before.resident);
    }
    let growth = soak::growth(&before, &after);
    run.observe("cycles", CYCLES);
    run.observe("what has grown", if growth.is_empty() { "nothing".to_owned() } else { growth.join(", ") });
    run.check(growth.is_empty(), "the process has grown")
}

fn reload_overwritten(run: &mut Run) -> Result<(), Failure> {
    let path = run.scratch_dir().join("libmodule.so");
    let whole = fs::read(run.fixture("backtrace-module"))?;
    let cycle = |run: &Run, whole: &[u8]| -> Result<Vec<(&str, bool)>, Failure> {
        replace(&path, whole)?;
        let module = load_file::<ModuleBacktraces>(&path, &LoadOptions::new(), HostImpl)?;
        let is_well = || -> Result<bool, Failure> {
            let taken = module.exports().backtrace().or_fail("backtrace panicked")?;
            run.check(module.exports().panic().is_none(), "panic should panic")?;
            let panic = module.last_panic().or_fail("the panic left no report")?;
            Ok(taken.contains("first_inner") && panic.backtrace.contains("first_inner"))
        };
        let mut seen = vec![("before", is_well()?)];
        // In place: the file keeps its identity, as when it is copied over.
        fs::write(&path, vec![0xff; whole.len()])?;
        seen.push(("overwritten", is_well()?));
        fs::write(&path, [])?;
        seen.push(("emptied", is_well()?));
        fs::remove_file(&path)?;
        seen.push(("deleted", is_well()?));
        module.unload()?;
        Ok(seen)
    };
    cycle(run, &whole)?;
    run.baseline();
    for (state, is_well) in cycle(run, &whole)? {
        run.observe(state, if is_well { "calls and panics as before, with names" } else { "names are lost" });
        run.check(is_well, state)?;
    }
    Ok(())
}

/// How the file of a module is replaced.
type Replacing = fn(&Path, &[u8]) -> std::io::Result<()>;

/// All ways, with whether the file is another one afterwards.
const WAYS: &[(&str, Replacing, bool)] = &[
    ("written anew", write_alone, false),
    (
        "deleted and made again",
        |path, build| {
            fs::remove_file(path)?;
            File::create_new(path)?.write_all(build)
        },
        true,
    ),
    (
        "renamed over",
        |path, build| {
            let new = path.with_extension("new");
            fs::write(&new, build)?;
            fs::rename(new, path)
        },
        true,
    ),
    (
        "moved away and made again",
        |path, build| {
            fs::rename(path, path.with_extension("old"))?;
            File::create_new(path)?.write_all(build)
        },
        true,
    ),
];

fn reload_original_replaced(run: &mut Run) -> Result<(), Failure> {
    const OLD: &str = "load-constructor";
    warm_up::<ModuleCounter>(run, OLD)?;
    let (old, new) = (fs::read(run.fixture(OLD))?, fs::read(run.fixture("calls-strings"))?);
    for (how, replacing, is_another) in WAYS {
        let folder = run.scratch_dir().join("build");
        fs::create_dir(&folder)?;
        let path = folder.join(format!("libmodule{LIBRARY_EXTENSION}"));
        fs::write(&path, &old)?;
        let counter = load_file::<ModuleCounter>(&path, &LoadOptions::new(), ())?;
        let count = || counter.exports().next().or_fail("next panicked");
        run.check_eq("calls", count()?, 1)?;
        replacing(&path, &new).map_err(|error| Failure::from(error).context(how))?;
        run.check_eq("calls after the file was replaced", count()?, 2)?;
        // A file that was written anew is still the one that is loaded.
        let options = LoadOptions::new().separate_instance(!is_another);
        let strings = load_file::<ModuleStrings>(&path, &options, ())?;
        run.check_eq("the new build", strings.exports().own("x").as_deref(), Some("x"))?;
        run.check_eq("calls beside the new build", count()?, 3)?;
        counter.unload()?;
        run.check(fs::read(&path)? == new, "the unload has changed the new file")?;
        run.check_eq("the new build alone", strings.exports().own("y").as_deref(), Some("y"))?;
        fs::remove_dir_all(&folder)?;
        run.check(!folder.exists(), "a folder whose modules are loaded should go")?;
        run.check_eq("the new build without a file", strings.exports().own("z").as_deref(), Some("z"))?;
        strings.unload()?;
        run.observe(how, "the old build runs on, and the new one loads beside it");
    }
    Ok(())
}

fn reload_broken_build(run: &mut Run) -> Result<(), Failure> {
    let project = Project::copy(run, "reload-version", "reload-broken-build")?;
    let path = run.scratch_dir().join("libmodule.so");
    project.build_to(&path)?;
    load(&path)?.unload()?;
    run.baseline();
    let refused = |path: &Path| -> Result<String, Failure> {
        match load_error::<ModuleVersion>(path, &LoadOptions::new())? {
            error @ LoadError::ModuleAlreadyLoaded { .. } => Err(error.into()),
            error => reason(&error, path),
        }
    };

    let old = load(&path)?;
    let whole = fs::read(&path)?;
    // As a linker that has not finished.
    replace(&path, &whole[..whole.len() / 2])?;
    let error = refused(&path)?;
    run.check(
        error.contains("still being written"),
        format!("the error should be about the length: {error}"),
    )?;
    run.observe("truncated", "refused");
    replace(&path, &[])?;
    run.observe("empty", refused(&path)?);

    project.edit("module/src/lib.rs", "        1\n", "        true\n")?;
    run.check(project.build().is_err(), "the build should fail")?;
    run.observe("a build that fails", "leaves the library as it is");

    project.edit("module/src/lib.rs", "        true\n", "        2\n")?;
    for file in ["module/src/lib.rs", "interface/src/reload.rs"] {
        project.edit(file, "fn version() -> u32", "fn version() -> u64")?;
    }
    project.build_to(&path)?;
    run.observe("another interface", refused(&path)?);
    run.observe("the old module meanwhile", version(&old)?);

    for file in ["module/src/lib.rs", "interface/src/reload.rs"] {
        project.edit(file, "fn version() -> u64", "fn version() -> u32")?;
    }
    project.build_to(&path)?;
    let new = load(&path)?;
    run.observe("mended", version(&new)?);
    run.observe("the old module beside it", version(&old)?);
    old.unload()?;
    run.check_eq("the new module after that", version(&new)?, 2)?;
    new.unload()?;
    Ok(())
}

static STORE: Mutex<Vec<u32>> = Mutex::new(Vec::new());

#[relib::implement]
impl Store for StoreImpl {
    fn save(state: Vec<u32>) {
        *STORE.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn restore() -> Vec<u32> {
        std::mem::take(&mut STORE.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn reload_state(run: &mut Run) -> Result<(), Failure> {
    const FIXTURE: &str = "reload-state";
    let path = run.fixture(FIXTURE);
    let generations = |state: &mut State| -> Result<Vec<u32>, Failure> {
        let mut own = Vec::new();
        for generation in 1..=3 {
            let module = load_file::<ModuleStateful>(&path, &LoadOptions::new(), StoreImpl)?;
            module.exports().work(state, generation).or_fail("work panicked")?;
            own = module.exports().own().or_fail("own panicked")?;
            module.unload()?;
        }
        Ok(own)
    };
    generations(&mut State::default())?;
    StoreImpl::restore();
    run.baseline();
    let mut state = State::default();
    let own = generations(&mut state)?;
    run.observe("the host's state", format!("{state:?}"));
    run.observe("the module's own state", format!("{own:?}"));
    StoreImpl::restore();
    Ok(())
}
