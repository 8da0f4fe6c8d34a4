//! What many scenario bodies do: loading a fixture, one whole cycle as a warm-up, an unload that is refused, and what
//! modules tell the host.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fixture_interface::unload::Events;
use relib::{ExportsHandle, LoadError, LoadOptions, Module, ProvideImports, UnloadError, Unloaded};
use relib_harness::outcome::Ending;
use relib_harness::report::Report;
use relib_harness::{Failure, OrFail, Run};

use crate::platform;

/// What the constructor of `load-constructor` and its like writes into the working directory, the scratch directory.
pub const TRACE: &str = "constructor-ran";

/// What the destructor of `alloc-system-global` writes there.
pub const END_TRACE: &str = "destructor-ran";

/// For threads that are about to end: longer than a busy machine takes for that.
pub const SECONDS: Duration = Duration::from_secs(10);

/// Loads a fixture that imports nothing, with the default options.
pub fn load<E: ExportsHandle>(run: &Run, fixture: &str) -> Result<Module<E>, Failure> {
    load_with(run, fixture, &LoadOptions::new())
}

/// Loads a fixture that imports nothing.
pub fn load_with<E: ExportsHandle>(
    run: &Run,
    fixture: &str,
    options: &LoadOptions,
) -> Result<Module<E>, Failure> {
    load_file(&run.fixture(fixture), options, ())
}

/// Loads a built fixture, wherever it is.
pub fn load_file<E: ExportsHandle>(
    path: &Path,
    options: &LoadOptions,
    imports: impl ProvideImports,
) -> Result<Module<E>, Failure> {
    // SAFETY: the fixtures are this repository's own code.
    Ok(unsafe { options.load(path, imports)? })
}

/// Loads a file that must be refused, and returns why it was.
pub fn load_error<E: ExportsHandle>(path: &Path, options: &LoadOptions) -> Result<LoadError, Failure> {
    // SAFETY: the file is a fixture, or one that relib has to refuse without running it.
    match unsafe { options.load::<E>(path, ()) } {
        Ok(_) => Err(Failure::new(format!("{} was loaded", path.display()))),
        Err(error) => Ok(error),
    }
}

/// Records that a file is refused: the variant of the error, its message and its causes.
pub fn observe_refusal<E: ExportsHandle>(
    run: &mut Run,
    key: &str,
    path: impl AsRef<Path>,
    options: &LoadOptions,
) -> Result<(), Failure> {
    let error = load_error::<E>(path.as_ref(), options)?;
    run.observe(key, format!("{}: {}", variant(&error), relib_harness::failure::chain(&error)));
    Ok(())
}

/// The name of an error's variant.
pub fn variant(error: &LoadError) -> String {
    let debug = format!("{error:?}");
    debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

/// What comes after the path in an error about a module. The path differs between profiles and machines.
///
/// # Errors
/// When the error is about no file of that name.
pub fn reason(error: &dyn std::error::Error, path: &Path) -> Result<String, Failure> {
    let text = error.to_string();
    let name = path.file_name().or_fail("the path has no name")?.to_string_lossy();
    let (_, reason) = text.split_once(&format!("{name}: ")).or_fail(&format!("no path in {text:?}"))?;
    Ok(reason.to_owned())
}

/// Writes a copy of a fixture as `name` into the scratch directory, after `change` has had its way with the bytes.
pub fn scratch_copy(
    run: &Run,
    fixture: &str,
    name: &str,
    change: impl FnOnce(&mut Vec<u8>),
) -> Result<PathBuf, Failure> {
    let mut bytes = std::fs::read(run.fixture(fixture))?;
    change(&mut bytes);
    let path = run.scratch_dir().join(name);
    std::fs::write(&path, bytes)?;
    Ok(path)
}

/// Another build of the same code: the same library with another number where nothing looks for one.
pub fn another_build(library: &[u8], number: u8) -> Result<Vec<u8>, Failure> {
    let mut build = library.to_vec();
    platform::number_build(&mut build, number)?;
    Ok(build)
}

/// Loads and unloads a fixture that imports nothing, so that what is set up once in a process is there, and then takes
/// the baseline: everything that the process holds more at the end of the scenario is a leak.
pub fn warm_up<E: ExportsHandle>(run: &mut Run, fixture: &str) -> Result<Unloaded, Failure> {
    let report = load::<E>(run, fixture)?.unload()?;
    run.baseline();
    Ok(report)
}

/// Allows for what the C library keeps of ended threads for the next ones: stacks, two mappings each, for as many as ran
/// at once.
pub fn allow_for_threads(run: &mut Run) {
    if !run.is_sanitized() {
        run.tolerance().mappings = 32;
    }
}

/// A command that runs this scenario once more, in a process that finds a variable set, with the same fixtures.
pub fn another_process(variable: &str, value: &str) -> Result<Command, Failure> {
    let after = |word: &str| {
        std::env::args_os()
            .skip_while(|argument| argument != word)
            .nth(1)
            .or_fail("the process was started in another way")
    };
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("run").arg(after("run")?).arg("--manifest").arg(after("--manifest")?).env(variable, value);
    Ok(command)
}

/// Runs a body that leaves a module of this fixture behind, in a process of its own. What it observes is observed here;
/// then, how many private copies outlive it, and that a process which makes its own removes them.
pub fn leave_behind(
    run: &mut Run,
    fixture: &str,
    body: fn(&mut Run) -> Result<(), Failure>,
) -> Result<(), Failure> {
    const LEAVES: &str = "RELIB_TEST_LEAVES";
    if std::env::var_os(LEAVES).is_some() {
        return body(run);
    }
    let report = run.scratch_dir().join("report");
    let mut command = another_process(LEAVES, "")?;
    command.arg("--report").arg(&report).arg("--scratch").arg(run.scratch_dir());
    relib_harness::process::set_temporary_directory(&mut command, run.temp_dir());
    let status = command.status()?;
    let report = Report::read(&report)?;
    for observation in &report.observations {
        run.observe(&observation.key, &observation.value);
    }
    let ending = report.ending.or_fail("the process did not come to an end")?;
    run.check_eq("the end of the body", ending, Ending::Ok)?;
    run.check(status.success(), format!("the process ended with {status}"))?;

    let directories = |run: &Run| Ok::<_, Failure>(std::fs::read_dir(run.temp_dir())?.count());
    run.observe("directories of private copies after the end of the process", directories(run)?);
    warm_up::<()>(run, fixture)?;
    // Its own one is there until its end.
    run.check_eq("directories when another process has loaded the module", directories(run)?, 1)?;
    load::<()>(run, fixture)?.unload()?;
    Ok(())
}

/// Unloads a module that is in use: the reason, and the module.
pub fn refused<E: ExportsHandle>(module: Module<E>) -> Result<(UnloadError, Module<E>), Failure> {
    match module.unload() {
        Ok(_) => Err(Failure::new("the module was unloaded, although something is in the way")),
        Err(failed) => Ok(failed.into_parts()),
    }
}

/// The file name of a path, as text.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

static EVENTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[relib::implement]
impl Events for EventLog {
    fn happened(event: &str) {
        EVENTS.lock().unwrap_or_else(PoisonError::into_inner).push(event.to_owned());
    }
}

/// What modules that import [`EventLog`] have said since the last call.
pub fn take_events() -> Vec<String> {
    std::mem::take(&mut EVENTS.lock().unwrap_or_else(PoisonError::into_inner))
}
