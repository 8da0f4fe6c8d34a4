//! Paths: what does not lead to a file, and what leads there by links, long or unusual names, or a search.

use std::path::{Path, PathBuf};

use fixture_interface::backtraces::ModuleBacktraces;
use fixture_interface::ledger::ModuleLibraries;
use fixture_interface::load::{ModuleCounter, ModuleLinked};
use relib_harness::{Failure, OrFail, Run};

use super::{FIXTURE, defaults, next};
use crate::platform::{self, LIBRARY_EXTENSION, LOADED_LIBRARY, UNUSUAL_NAMES, symlink};
use crate::scenarios::backtraces::HostImpl;
use crate::support::{file_name, load_file, observe_refusal, scratch_copy, warm_up};

pub(super) fn load_missing(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    let missing = run.scratch_dir().join("libmissing.so");
    observe_refusal::<ModuleCounter>(run, "missing", &missing, &defaults())?;
    let through_file = run.fixture(FIXTURE).join("libmissing.so");
    observe_refusal::<ModuleCounter>(run, "below a file", through_file, &defaults())?;
    let dangling = run.scratch_dir().join("libdangling.so");
    if symlink(&missing, &dangling)? {
        observe_refusal::<ModuleCounter>(run, "dangling link", dangling, &defaults())?;
    }
    observe_refusal::<ModuleCounter>(run, "empty path", "", &defaults())?;
    observe_refusal::<ModuleCounter>(run, "path with a zero byte", "lib\0.so", &defaults())
}

pub(super) fn load_directory(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    let directory = run.scratch_dir().join("libdirectory.so");
    std::fs::create_dir(&directory)?;
    observe_refusal::<ModuleCounter>(run, "directory", directory, &defaults())?;
    // Opening this one without care would wait for a writer.
    let fifo = run.scratch_dir().join("libfifo.so");
    if platform::pipe_at(&fifo)? {
        observe_refusal::<ModuleCounter>(run, "fifo", fifo, &defaults())?;
    }
    Ok(())
}

/// Loads a copy of the fixture by a path, calls and unloads it; returns the path that it shows.
fn cycle(path: impl AsRef<Path>) -> Result<PathBuf, Failure> {
    let module = load_file::<ModuleCounter>(path.as_ref(), &defaults(), ())?;
    if next(&module)? != 1 {
        return Err(Failure::new("the module is not new"));
    }
    let path = module.path().to_owned();
    module.unload()?;
    Ok(path)
}

pub(super) fn load_symlink(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    let target = scratch_copy(run, FIXTURE, "libtarget.so", |_| ())?;
    let directory = run.scratch_dir().join("directory");
    std::fs::create_dir(&directory)?;
    let link = directory.join("liblink.so");
    symlink("../libtarget.so", &link)?;
    let link_to_link = directory.join("liblink-to-link.so");
    symlink("liblink.so", &link_to_link)?;
    let shown = cycle(&link_to_link)?;
    run.check_eq("path", &shown, &target.canonicalize()?)?;
    run.observe("shown path", shown.display());
    let circle = directory.join("libcircle.so");
    symlink("libcircle.so", &circle)?;
    observe_refusal::<ModuleCounter>(run, "circle", circle, &defaults())
}

pub(super) fn load_relative(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    scratch_copy(run, FIXTURE, "librelative.so", |_| ())?;
    std::fs::create_dir("inside")?;
    for path in ["./librelative.so", "inside/../librelative.so", "librelative.so"] {
        run.observe(path, cycle(path)?.display());
    }
    // The path is looked up when the module is loaded, whatever directory the host is in later.
    let module = load_file::<ModuleCounter>(Path::new("./librelative.so"), &defaults(), ())?;
    std::env::set_current_dir("inside")?;
    run.check_eq("next", next(&module)?, 1)?;
    module.unload()?;
    observe_refusal::<ModuleCounter>(run, "from another directory", "./librelative.so", &defaults())?;
    run.observe("../librelative.so", cycle("../librelative.so")?.display());
    // Windows has a handle of it open, which the baseline knows as that of another directory.
    Ok(std::env::set_current_dir(run.scratch_dir())?)
}

pub(super) fn load_unicode_path(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    for name in UNUSUAL_NAMES {
        let path = scratch_copy(run, FIXTURE, name, |_| ())?;
        run.check_eq("path", cycle(&path)?, path.canonicalize()?)?;
        load_file::<ModuleCounter>(&path, &defaults().in_place(true), ())?.unload()?;
        run.observe("loaded", format!("{name:?}"));
    }
    if let Some(name) = platform::name_beyond_unicode() {
        let path = run.scratch_dir().join(name);
        std::fs::copy(run.fixture(FIXTURE), &path)?;
        run.check_eq("path", cycle(&path)?, path.canonicalize()?)?;
    }
    Ok(())
}

/// Loads a module in each way, with private copies in a folder that is given, and calls it.
fn in_each_way(run: &Run, path: &Path, staging: &Path) -> Result<(), Failure> {
    for options in [defaults(), defaults().staging_directory(staging), defaults().in_place(true)] {
        let module = load_file::<ModuleCounter>(path, &options, ())?;
        run.check_eq("next", next(&module)?, 1)?;
        run.check_eq("name of the path", module.path().file_name(), path.file_name())?;
        run.check(module.path().is_file(), "the path should lead to the file")?;
        module.unload()?;
    }
    Ok(())
}

pub(super) fn load_unicode_folder(run: &mut Run) -> Result<(), Failure> {
    let folder = run.scratch_dir().join("äöü-日本-🦀");
    std::fs::create_dir(&folder)?;
    let path = |name: &str| folder.join(format!("{name}{LIBRARY_EXTENSION}"));
    let (counter, panics, libraries, plain) = (path("ü"), path("日本"), path("🦀"), path("ö"));
    for (fixture, path) in [
        (FIXTURE, &counter),
        ("backtrace-module", &panics),
        ("library-leak", &libraries),
        ("plain-library", &plain),
    ] {
        std::fs::copy(run.fixture(fixture), path)?;
    }
    let cycle = |run: &Run| -> Result<(), Failure> {
        in_each_way(run, &counter, &folder)?;
        for options in [defaults().staging_directory(&folder), defaults().in_place(true)] {
            let module = load_file::<ModuleBacktraces>(&panics, &options, HostImpl)?;
            run.check(module.exports().panic().is_none(), "panic should panic")?;
            let panic = module.last_panic().or_fail("the panic left no report")?;
            run.check(panic.backtrace.contains("first_inner"), "the backtrace should have names")?;
            module.unload()?;
        }
        let module = load_file::<ModuleLibraries>(&libraries, &defaults(), ())?;
        let plain = plain.to_str().or_fail("the path is Unicode")?;
        let (answer, handle) = module.exports().open(plain).or_fail("open panicked")?;
        run.check_eq("what the other library returned", answer, 42)?;
        module.exports().close(handle).or_fail("close panicked")?;
        module.unload()?;
        Ok(())
    };
    cycle(run)?;
    run.baseline();
    cycle(run)?;
    run.observe("loaded in each way, panicked with names, and opened a library", folder.display());
    Ok(())
}

pub(super) fn load_long_path(run: &mut Run) -> Result<(), Failure> {
    // As many as a name may have, and a path as `MAX_PATH` of Windows says.
    const NAME: usize = 255;
    const PATH: usize = 260;
    let mut folder = run.scratch_dir().to_owned();
    for _ in 0..3 {
        folder.push("x".repeat(100));
    }
    std::fs::create_dir_all(&folder)?;
    run.check(folder.as_os_str().len() > PATH, "the path should be long")?;
    let longest = format!("{}{LIBRARY_EXTENSION}", "x".repeat(NAME - LIBRARY_EXTENSION.len()));
    let short = format!("short{LIBRARY_EXTENSION}");
    let paths = [folder.join(&short), folder.join(&longest), run.scratch_dir().join(&longest)];
    for path in &paths {
        std::fs::copy(run.fixture(FIXTURE), path)?;
        in_each_way(run, path, &folder)?;
    }
    run.baseline();
    for path in &paths {
        in_each_way(run, path, &folder)?;
        run.check_eq("mappings of the file", platform::mappings_of(&file_name(path))?, 0)?;
    }
    run.observe("loaded in each way", "a long path, a long name, and both");
    Ok(())
}

/// The name by which the fixture `load-linked` imports from `plain-library`.
const LINKED_LIBRARY: &str = "plain_library.dll";

pub(super) fn load_linked_library(run: &mut Run) -> Result<(), Failure> {
    // The system takes a library of that name wherever it looks for libraries; it does not look into folders below.
    let folder = run.scratch_dir().join("folder");
    std::fs::create_dir(&folder)?;
    let (path, library) = (folder.join("linked.dll"), folder.join(LINKED_LIBRARY));
    std::fs::copy(run.fixture("load-linked"), &path)?;
    std::fs::copy(run.fixture("plain-library"), &library)?;
    let cycle = |run: &Run| -> Result<(), Failure> {
        for options in [defaults(), defaults().in_place(true)] {
            let module = load_file::<ModuleLinked>(&path, &options, ())?;
            let second = load_file::<ModuleLinked>(&path, &defaults().separate_instance(true), ())?;
            run.check_eq("what the library returns", module.exports().answer(), Some(42))?;
            module.unload()?;
            run.check_eq("what it returns to the second", second.exports().answer(), Some(42))?;
            second.unload()?;
            run.check_eq("mappings of the library", platform::mappings_of(LINKED_LIBRARY)?, 0)?;
        }
        Ok(())
    };
    cycle(run)?;
    run.baseline();
    cycle(run)?;
    run.observe("with the library beside it", "loaded in each way, and the library goes with it");
    // Without the library it is as in `load-dependency-missing`.
    std::fs::write(&library, "a text")?;
    observe_refusal::<ModuleLinked>(run, "with a text of its name", &path, &defaults())
}

pub(super) fn load_bare_name(run: &mut Run) -> Result<(), Failure> {
    let name = format!("libbare{LIBRARY_EXTENSION}");
    let searched = run.scratch_dir().join("searched");
    std::fs::create_dir_all(&searched)?;
    std::fs::copy(run.fixture(FIXTURE), searched.join(&name))?;
    platform::search_for_libraries_in(&searched)?;
    // SAFETY: the file is a copy of a fixture.
    unsafe { libloading::Library::new(&name) }
        .map_err(|error| Failure::from(error).context("the dynamic loader does not search the directory"))?
        .close()?;
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    observe_refusal::<ModuleCounter>(run, "bare name", &name, &defaults())?;
    observe_refusal::<ModuleCounter>(run, "bare name in place", &name, &defaults().in_place(true))?;
    observe_refusal::<ModuleCounter>(run, "name of a loaded library", LOADED_LIBRARY, &defaults())
}
