//! What a scenario is, and what its body gets to work with.
//!
//! This module must not know how a scenario is run or how its outcome is judged: it is the vocabulary that the
//! catalogue of scenarios (`tests/src/scenarios/`) is written in.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fixtures::Fixtures;
use crate::outcome::Ending;
use crate::probe::{self, Leak, Probe, Tolerance};
use crate::report::{Event, ReportWriter};

/// A row of the support table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// Calls from the host into the module and back.
    ExportsImports,
    /// Memory of the module is reclaimed.
    Memory,
    /// A panic stays inside the call.
    Panics,
    /// Destructors of thread-locals run.
    ThreadLocals,
    /// Threads of the module that still run are found before the unload.
    Threads,
    /// The image is really gone.
    Unload,
    /// What must not be loaded is refused.
    Load,
    /// A new build takes the place of the old one.
    Reload,
    /// Backtraces name the module's functions and leave nothing behind.
    Backtraces,
    /// Descriptors, mappings, keys, handlers that the module left.
    Ledger,
    /// Scenarios that test the harness; never in the matrix and never in the table.
    SelfTest,
}

impl Feature {
    /// The features of the support table, in its order.
    pub const ALL: [Feature; 10] = [
        Feature::ExportsImports,
        Feature::Memory,
        Feature::Panics,
        Feature::ThreadLocals,
        Feature::Threads,
        Feature::Unload,
        Feature::Load,
        Feature::Reload,
        Feature::Backtraces,
        Feature::Ledger,
    ];

    /// The stable name, as in `--filter` and in JSON.
    pub const fn id(self) -> &'static str {
        match self {
            Feature::ExportsImports => "exports-imports",
            Feature::Memory => "memory",
            Feature::Panics => "panics",
            Feature::ThreadLocals => "thread-locals",
            Feature::Threads => "threads",
            Feature::Unload => "unload",
            Feature::Load => "load",
            Feature::Reload => "reload",
            Feature::Backtraces => "backtraces",
            Feature::Ledger => "ledger",
            Feature::SelfTest => "self-test",
        }
    }

    /// The text of the row.
    pub const fn title(self) -> &'static str {
        match self {
            Feature::ExportsImports => "Imports and exports",
            Feature::Memory => "Memory deallocation",
            Feature::Panics => "Panic handling",
            Feature::ThreadLocals => "Thread-locals",
            Feature::Threads => "Background threads check",
            Feature::Unload => "Final unload check",
            Feature::Load => "Load checks",
            Feature::Reload => "Reload",
            Feature::Backtraces => "Backtraces",
            Feature::Ledger => "Leaked resources",
            Feature::SelfTest => "Self-tests of the harness",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// The cargo profile that fixtures and runner are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// `cargo build`
    Debug,
    /// `cargo build --release`
    Release,
}

impl Profile {
    /// Both profiles: what a scenario runs in unless it says otherwise.
    pub const ALL: &'static [Profile] = &[Profile::Debug, Profile::Release];

    /// The profile that this code was compiled in.
    pub const fn current() -> Profile {
        if cfg!(debug_assertions) { Profile::Debug } else { Profile::Release }
    }

    /// The name of the profile, which is also the name of its snapshot folder.
    pub const fn id(self) -> &'static str {
        match self {
            Profile::Debug => "debug",
            Profile::Release => "release",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// A column of the support table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Platform {
    /// `x86_64-unknown-linux-gnu`
    #[serde(rename = "linux-x86_64")]
    LinuxX86_64,
    /// `x86_64-pc-windows-gnu`
    #[serde(rename = "windows-x86_64")]
    WindowsX86_64,
}

impl Platform {
    /// Every platform of the table, in its order.
    pub const ALL: &'static [Platform] = &[Platform::LinuxX86_64, Platform::WindowsX86_64];

    /// The name of the snapshot folder.
    pub const fn id(self) -> &'static str {
        match self {
            Platform::LinuxX86_64 => "linux-x86_64",
            Platform::WindowsX86_64 => "windows-x86_64",
        }
    }

    /// The title of the column.
    pub const fn title(self) -> &'static str {
        match self {
            Platform::LinuxX86_64 => "Linux x86_64",
            Platform::WindowsX86_64 => "Windows x86_64",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// What the process of a scenario may use up; `None` lifts the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Wall-clock time, after which the whole process group is killed.
    pub time: Option<Duration>,
    /// Bytes of address space. A sanitizer reserves terabytes and needs `None`.
    pub address_space: Option<u64>,
}

impl Limits {
    /// 60 seconds and 8 GiB: several times what the largest scenario needs on a slow machine.
    pub const DEFAULT: Limits = Limits { time: Some(Duration::from_secs(60)), address_space: Some(8 << 30) };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}

/// What a scenario is expected to come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It ends as `ok`.
    Pass,
    /// A documented limit: on these platforms it ends as something else than `ok`, and the footnote says why.
    Limit {
        /// What it ends as, by [`Ending::class`](crate::outcome::Ending::class).
        class: &'static str,
        /// The text of the footnote in the support table.
        footnote: &'static str,
        /// The platforms that have the limit; it passes on the others.
        platforms: &'static [Platform],
    },
}

/// The body of a scenario.
pub type Body = fn(&mut Run) -> Result<(), Failure>;

/// One load / call / unload story, run in a process of its own, with one recorded outcome.
///
/// Made by [`Scenario::new`] and const builder methods, so that a catalogue is a table of one or a few lines each:
///
/// ```
/// use relib_harness::{Failure, Feature, Run, Scenario};
///
/// fn adds(run: &mut Run) -> Result<(), Failure> {
///     run.observe("sum", 1 + 2);
///     run.check_eq("sum", 1 + 2, 3)
/// }
///
/// pub const SCENARIOS: &[Scenario] = &[
///     Scenario::new("calls-adds", Feature::ExportsImports, adds).time_limit_secs(10),
/// ];
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// The stable name: of the snapshot, of the `#[test]`, of the footnote.
    pub id: &'static str,
    /// The row of the support table.
    pub feature: Feature,
    /// The profiles it runs in.
    pub profiles: &'static [Profile],
    /// The platforms it exists on.
    pub platforms: &'static [Platform],
    /// Why it does not exist on the others.
    pub platforms_reason: Option<&'static str>,
    /// What its process may use up.
    pub limits: Limits,
    /// What it is expected to come to.
    pub expected: Expected,
    /// Why it leaves something behind on purpose, if it does.
    pub leaves: Option<&'static str>,
    /// Why it cannot run under a sanitizer, if it cannot.
    pub unsanitizable: Option<&'static str>,
    /// The body.
    pub run: Body,
}

impl Scenario {
    /// A scenario for both profiles and all platforms, with the default limits, which is expected to pass.
    pub const fn new(id: &'static str, feature: Feature, run: Body) -> Scenario {
        Scenario {
            id,
            feature,
            profiles: Profile::ALL,
            platforms: Platform::ALL,
            platforms_reason: None,
            limits: Limits::DEFAULT,
            expected: Expected::Pass,
            leaves: None,
            unsanitizable: None,
            run,
        }
    }

    /// Only these profiles.
    pub const fn profiles(mut self, profiles: &'static [Profile]) -> Scenario {
        self.profiles = profiles;
        self
    }

    /// Only Linux, for this reason.
    pub const fn linux_only(self, reason: &'static str) -> Scenario {
        self.only_on(&[Platform::LinuxX86_64], reason)
    }

    /// Only Windows, for this reason.
    pub const fn windows_only(self, reason: &'static str) -> Scenario {
        self.only_on(&[Platform::WindowsX86_64], reason)
    }

    const fn only_on(mut self, platforms: &'static [Platform], reason: &'static str) -> Scenario {
        self.platforms = platforms;
        self.platforms_reason = Some(reason);
        self
    }

    /// Another time limit.
    pub const fn time_limit_secs(mut self, secs: u64) -> Scenario {
        self.limits.time = Some(Duration::from_secs(secs));
        self
    }

    /// Another address-space limit in bytes; `None` for none.
    pub const fn address_space(mut self, bytes: Option<u64>) -> Scenario {
        self.limits.address_space = bytes;
        self
    }

    /// A documented limit on every platform: it ends as this class, such as `abort`, and the footnote says why.
    pub const fn limit(self, class: &'static str, footnote: &'static str) -> Scenario {
        self.limit_on(Platform::ALL, class, footnote)
    }

    /// A documented limit on some platforms.
    pub const fn limit_on(
        mut self,
        platforms: &'static [Platform],
        class: &'static str,
        footnote: &'static str,
    ) -> Scenario {
        self.expected = Expected::Limit { class, footnote, platforms };
        self
    }

    /// It leaves something behind, for this reason, so that it takes no baseline. Every other scenario fails without
    /// one, since nothing would look for leaks.
    pub const fn leaves(mut self, reason: &'static str) -> Scenario {
        self.leaves = Some(reason);
        self
    }

    /// Left out of runs under a sanitizer, for this reason.
    pub const fn not_under_sanitizer(mut self, reason: &'static str) -> Scenario {
        self.unsanitizable = Some(reason);
        self
    }

    /// Everything but the body, as plain data.
    pub fn info(&self) -> ScenarioInfo {
        let limit = match self.expected {
            Expected::Pass => None,
            Expected::Limit { class, footnote, platforms } => Some(Limit {
                class: class.to_owned(),
                footnote: footnote.to_owned(),
                platforms: platforms.to_vec(),
            }),
        };
        ScenarioInfo {
            id: self.id.to_owned(),
            feature: self.feature,
            profiles: self.profiles.to_vec(),
            platforms: self.platforms.to_vec(),
            platforms_reason: self.platforms_reason.map(str::to_owned),
            limits: self.limits,
            limit,
            leaves: self.leaves.map(str::to_owned),
            unsanitizable: self.unsanitizable.map(str::to_owned),
        }
    }
}

/// [`Expected::Limit`] as plain data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What the scenario ends as.
    pub class: String,
    /// The text of the footnote.
    pub footnote: String,
    /// The platforms that have the limit.
    pub platforms: Vec<Platform>,
}

/// What the `list` command of a runner prints of a [`Scenario`]; enough to run it and to judge its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioInfo {
    /// See [`Scenario::id`].
    pub id: String,
    /// See [`Scenario::feature`].
    pub feature: Feature,
    /// See [`Scenario::profiles`].
    pub profiles: Vec<Profile>,
    /// See [`Scenario::platforms`].
    pub platforms: Vec<Platform>,
    /// See [`Scenario::platforms_reason`].
    pub platforms_reason: Option<String>,
    /// See [`Scenario::limits`].
    pub limits: Limits,
    /// See [`Scenario::expected`].
    pub limit: Option<Limit>,
    /// See [`Scenario::leaves`].
    pub leaves: Option<String>,
    /// See [`Scenario::unsanitizable`].
    #[serde(default)]
    pub unsanitizable: Option<String>,
}

impl ScenarioInfo {
    fn limit_on(&self, platform: Platform) -> Option<&Limit> {
        self.limit.as_ref().filter(|limit| limit.platforms.contains(&platform))
    }

    /// What the scenario is expected to end as there.
    pub fn expected_class(&self, platform: Platform) -> &str {
        self.limit_on(platform).map_or(Ending::Ok.class(), |limit| &limit.class)
    }

    /// The footnote of the limit that this scenario has on this platform.
    pub fn footnote(&self, platform: Platform) -> Option<&str> {
        self.limit_on(platform).map(|limit| limit.footnote.as_str())
    }
}

/// Why a body ended early: a message for the snapshot.
///
/// Made from any error by `?` (the chain of its sources becomes part of the message), from text by [`Failure::new`]
/// or [`fail!`](crate::fail).
/// Like `anyhow::Error` it does not implement [`std::error::Error`] itself, which is what makes the conversion from
/// every error possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    message: String,
}

impl Failure {
    /// A failure with this message.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { message: message.into() }
    }

    /// Puts `context` and a colon before the message.
    pub fn context(self, context: impl fmt::Display) -> Failure {
        Failure { message: format!("{context}: {}", self.message) }
    }

    /// The message, with the causes after it.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure { message: chain(&error) }
    }
}

/// An error and its sources on one line each: `message`, `caused by: message`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str("\ncaused by: ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Ends the body with a [`Failure`] whose message is formatted as by `format!`.
#[macro_export]
macro_rules! fail {
    ($($arg:tt)*) => {
        return ::core::result::Result::Err($crate::Failure::new(::std::format!($($arg)*)))
    };
}

/// Turns an absent value into a [`Failure`], for calls that return `None` when the module panicked.
pub trait OrFail<T> {
    /// The value, or a failure with this message.
    ///
    /// # Errors
    /// When there is no value.
    fn or_fail(self, message: &str) -> Result<T, Failure>;
}

impl<T> OrFail<T> for Option<T> {
    fn or_fail(self, message: &str) -> Result<T, Failure> {
        self.ok_or_else(|| Failure::new(message))
    }
}

/// The two directories of one run.
#[derive(Debug, Clone)]
pub struct Directories {
    /// `TMPDIR` of the process; what is left in it at the end is a leak.
    pub temp: PathBuf,
    /// For the body's own files, and the working directory; nobody looks at what is left in it.
    pub scratch: PathBuf,
}

/// What the body of a scenario gets.
#[derive(Debug)]
pub struct Run {
    fixtures: Fixtures,
    directories: Directories,
    report: ReportWriter,
    baseline: Option<Probe>,
    tolerance: Tolerance,
}

/// Tells the scenario that loads mutated files how many to try.
pub const MUTATIONS_VARIABLE: &str = "RELIB_HARNESS_MUTATIONS";

/// Tells the process of a scenario that a sanitizer watches it.
pub const SANITIZED_VARIABLE: &str = "RELIB_HARNESS_SANITIZED";

/// Whether a sanitizer watches this process.
pub fn is_sanitized() -> bool {
    std::env::var_os(SANITIZED_VARIABLE).is_some()
}

impl Run {
    /// A run over these fixtures and directories which reports there.
    pub fn new(fixtures: Fixtures, directories: Directories, report: ReportWriter) -> Run {
        let tolerance = if is_sanitized() { Tolerance::sanitized() } else { Tolerance::default() };
        Run { fixtures, directories, report, baseline: None, tolerance }
    }

    /// Whether a sanitizer watches this process: then memory that was freed is kept for a while, and sizes of the
    /// process say nothing.
    pub fn is_sanitized(&self) -> bool {
        is_sanitized()
    }

    /// The path of a fixture's library. `-` and `_` in the name are the same.
    ///
    /// # Panics
    /// When there is no such fixture; the message lists those there are.
    #[track_caller]
    pub fn fixture(&self, name: &str) -> PathBuf {
        match self.fixtures.path(name) {
            Ok(path) => path.to_owned(),
            Err(error) => panic!("{error}"),
        }
    }

    /// The private directory that `TMPDIR` points to. Whatever is left in it at the end of the process is reported as
    /// a leak; the body's own files belong into [`Run::scratch_dir`].
    pub fn temp_dir(&self) -> &Path {
        &self.directories.temp
    }

    /// A private directory for the body's own files, which is also the working directory; may be left as it is.
    pub fn scratch_dir(&self) -> &Path {
        &self.directories.scratch
    }

    /// The profile that the fixtures and this executable were built in.
    pub fn profile(&self) -> Profile {
        self.fixtures.profile()
    }

    /// Records a line of the snapshot. It is in the report at once, so that a later crash does not lose it.
    ///
    /// # Panics
    /// When the report cannot be written.
    pub fn observe(&mut self, key: &str, value: impl fmt::Display) {
        let event = Event::Observed { key: Cow::Borrowed(key), value: Cow::Owned(value.to_string()) };
        self.report.write(&event).expect("the report of the scenario should be writable");
    }

    /// Fails with this message unless the condition holds.
    ///
    /// # Errors
    /// When the condition does not hold.
    pub fn check(&self, holds: bool, message: impl Into<String>) -> Result<(), Failure> {
        if holds { Ok(()) } else { Err(Failure::new(message)) }
    }

    /// Fails with both values unless they are equal.
    ///
    /// # Errors
    /// When the values differ.
    pub fn check_eq<A, B>(&self, what: &str, found: A, expected: B) -> Result<(), Failure>
    where
        A: PartialEq<B> + fmt::Debug,
        B: fmt::Debug,
    {
        if found == expected {
            Ok(())
        } else {
            Err(Failure::new(format!("{what}: found {found:?}, expected {expected:?}")))
        }
    }

    /// Takes the probe that the state at the end of the scenario is compared with. To be called after the warm-up
    /// (first load, first panic, first thread), since those leave caches of the host behind that are nobody's leak.
    ///
    /// The first thread of a process and the first scope, for which std creates keys, are part of this.
    ///
    /// # Panics
    /// When no thread can be started or `/proc` cannot be read.
    pub fn baseline(&mut self) {
        probe::run_a_thread().expect("an empty thread should start and end");
        std::thread::scope(|scope| _ = scope.spawn(|| ()));
        self.baseline = Some(Probe::take().expect("the state of the process should be readable"));
    }

    /// How much may have grown since the baseline.
    pub fn tolerance(&mut self) -> &mut Tolerance {
        &mut self.tolerance
    }

    /// What leaked since the baseline; nothing if none was taken. Waits for what is just about to go.
    pub(crate) fn leaks(&self) -> Option<std::io::Result<Vec<Leak>>> {
        self.baseline.as_ref().map(|baseline| baseline.leaks_now(&self.tolerance))
    }

    /// Ends the run and gives the report back.
    pub(crate) fn into_report(self) -> ReportWriter {
        self.report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the answer is unusable")
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_failure_carries_the_chain_of_sources() {
        fn body() -> Result<(), Failure> {
            "x".parse::<u32>().map_err(Outer)?;
            Ok(())
        }
        let failure = body().unwrap_err();
        assert_eq!(failure.message(), "the answer is unusable\ncaused by: invalid digit found in string");
        assert_eq!(
            failure.context("second call").message().lines().next(),
            Some("second call: the answer is unusable")
        );
    }

    #[test]
    fn a_failure_is_made_from_text_too() {
        fn body() -> Result<(), Failure> {
            fail!("{} is not {}", 1, 2)
        }
        assert_eq!(body().unwrap_err(), Failure::new("1 is not 2"));
        assert_eq!(None::<u8>.or_fail("greet panicked").unwrap_err(), Failure::new("greet panicked"));
    }

    #[test]
    fn a_limit_on_one_platform_passes_on_the_other() {
        fn body(_: &mut Run) -> Result<(), Failure> {
            Ok(())
        }
        let info = Scenario::new("x", Feature::SelfTest, body)
            .limit_on(&[Platform::WindowsX86_64], "failed", "no signals there")
            .info();
        assert_eq!(info.expected_class(Platform::LinuxX86_64), "ok");
        assert_eq!(info.expected_class(Platform::WindowsX86_64), "failed");
        assert_eq!(info.footnote(Platform::LinuxX86_64), None);
        assert_eq!(info.footnote(Platform::WindowsX86_64), Some("no signals there"));
    }

    #[test]
    fn the_serialised_names_are_the_ids() {
        for feature in Feature::ALL {
            assert_eq!(serde_json::to_value(feature).unwrap(), feature.id());
        }
        for platform in Platform::ALL {
            assert_eq!(serde_json::to_value(platform).unwrap(), platform.id());
        }
    }
}
