//! The scenario catalogue of relib, and what turns each of its rows into a `#[test]`.
//!
//! - [`scenarios`]: one module per feature; each scenario is a row of a const table and a function, its body;
//! - [`platform`]: what bodies ask the operating system for;
//! - [`project`]: copies of fixtures that a scenario may change and build;
//! - [`example`]: runs the READMEs of the examples;
//! - [`soak`]: the cycle that is repeated thousands of times, by a scenario and by `src/bin/relib-soak.rs`;
//! - `src/bin/relib-scenario.rs`: the runner executable, which runs one body in a process of its own;
//! - `tests/<feature>.rs`: one line per scenario, by [`scenario_tests!`]; `tests/catalogue.rs` checks that none of them
//!   is forgotten.
//!
//! A body must not know how it is run: it gets a [`relib_harness::Run`], and everything it changes is its own process.

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};

use relib_harness::cargo::Variant;
use relib_harness::process::{self, Runner};
use relib_harness::snapshot::Snapshots;
use relib_harness::{Failure, Feature, Fixtures, Profile, Run, Scenario, checkout};

pub mod example;
pub mod platform;
pub mod project;
pub mod scenarios;
pub mod soak;
pub mod support;

pub use platform::PLATFORM;
pub use scenarios::SCENARIOS;

/// What an array of scenarios is filled with before it gets its real ones.
const PLACEHOLDER: Scenario = {
    fn body(_: &mut Run) -> Result<(), Failure> {
        Err(Failure::new("this is no scenario"))
    }
    Scenario::new("placeholder", Feature::SelfTest, body)
};

/// The root of the workspace.
///
/// # Panics
/// When the process was not started by cargo, nor in a checkout.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> =
        LazyLock::new(|| checkout::root().expect("run this by cargo, or in a checkout of relib"));
    &ROOT
}

/// Runs a scenario with this runner executable and asserts its snapshot: what a line of [`scenario_tests!`] does.
///
/// The fixtures are built first, once per test process and in the profile of the test; cargo's own lock makes test
/// processes wait for each other.
///
/// # Panics
/// When the scenario does not end as accepted, or not as it declares.
pub fn run_and_assert(runner: &str, id: &str) {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.id == id);
    let scenario = scenario.unwrap_or_else(|| panic!("no scenario is called {id}")).info();
    let profile = Profile::current();
    if !scenario.profiles.contains(&profile) || !scenario.platforms.contains(&PLATFORM) {
        eprintln!("{id} does not run in the {profile} profile on {PLATFORM}");
        return;
    }
    build_fixtures();
    let runner = Runner {
        executable: runner.into(),
        manifest: Fixtures::manifest_path(root(), profile, &Variant::default()),
        root: root().to_owned(),
        launcher: None,
        shown_folders: Vec::new(),
        environment: Vec::new(),
    };
    let finished = process::run(&runner, &scenario);
    // Shown by libtest if the assertions fail.
    eprintln!("{}", finished.stderr);
    Snapshots::new(root(), PLATFORM).assert(profile, id, &finished.outcome.render());
    match (finished.outcome.ending.class(), scenario.expected_class(PLATFORM)) {
        (ended, expected) if ended == expected => {}
        ("ok", _) => panic!("{id} is ok now; take its `.limit(...)` away"),
        (ended, expected) => panic!(
            "{id} ended as {ended} instead of {expected}; mend it, or declare the limit with its footnote by \
             `.limit(...)`"
        ),
    }
}

fn build_fixtures() {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let profile = Profile::current();
        Fixtures::build(root(), profile, &Variant::default())
            .and_then(|fixtures| {
                fixtures.save(&Fixtures::manifest_path(root(), profile, &Variant::default()))
            })
            .map_err(|error| relib_harness::failure::chain(&error))
    });
    if let Err(message) = built {
        panic!("{message}");
    }
}

/// Makes sure that these are the ids of all scenarios of a feature.
///
/// # Panics
/// When one is missing or too many.
pub fn assert_rows(feature: Feature, rows: &[&str]) {
    let scenarios: Vec<&str> = of(feature).map(|scenario| scenario.id).collect();
    for id in &scenarios {
        assert!(
            rows.contains(id),
            "{id} has no #[test]; add a line to tests/tests/{}.rs",
            file_stem(feature)
        );
    }
    for row in rows {
        assert!(scenarios.contains(row), "{row} is no scenario of {feature}");
    }
    assert_eq!(rows.len(), scenarios.len(), "a scenario of {feature} has two #[test]s");
}

/// The scenarios of a feature.
pub fn of(feature: Feature) -> impl Iterator<Item = &'static Scenario> {
    SCENARIOS.iter().filter(move |scenario| scenario.feature == feature)
}

/// The name of the feature's files in `src/scenarios` and in `tests`.
pub fn file_stem(feature: Feature) -> String {
    feature.id().replace('-', "_")
}

/// One `#[test]` per scenario of a feature, and one that fails when a scenario has none.
///
/// ```text
/// relib_tests::scenario_tests! {
///     feature: ExportsImports;
///     calls_primitives => "calls-primitives",
///     calls_strings => "calls-strings",
/// }
/// ```
#[macro_export]
macro_rules! scenario_tests {
    (feature: $feature:ident; $($name:ident => $id:literal),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                $crate::run_and_assert(env!("CARGO_BIN_EXE_relib-scenario"), $id);
            }
        )*

        #[test]
        fn every_scenario_has_a_test() {
            $crate::assert_rows($crate::harness::Feature::$feature, &[$($id),*]);
        }
    };
}

pub use relib_harness as harness;
