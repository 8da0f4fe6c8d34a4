//! `cargo xtask test-matrix`: runs the scenarios and compares the outcomes with the snapshots.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, stderr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use relib_harness::cargo::Variant;
use relib_harness::matrix::Matrix;
use relib_harness::process::Runner;
use relib_harness::run::MUTATIONS_VARIABLE;
use relib_harness::snapshot::Snapshots;
use relib_harness::{Platform, Profile, ScenarioInfo};

use crate::exit;
use crate::report::{self, Summary};
use crate::runner::{Places, list};
use crate::sanitizer::Sanitizer;
use crate::windows::{self, Wine};

#[derive(clap::Args)]
pub struct Arguments {
    /// Only scenarios whose id or feature contains this
    #[arg(long, value_name = "SUBSTR")]
    filter: Option<String>,
    /// Only this profile
    #[arg(long, value_enum, default_value_t = Profiles::All)]
    profile: Profiles,
    /// The platform to run on
    #[arg(long, value_enum, default_value_t = PlatformName::Linux)]
    platform: PlatformName,
    /// Build everything with a sanitizer (needs a nightly toolchain); the outcomes must be the same
    #[arg(long, value_enum, conflicts_with = "bless")]
    sanitizer: Option<Sanitizer>,
    /// How many mutated files the scenario load-mutated tries [default: 2000, the fewest that it accepts]
    #[arg(long, value_name = "N")]
    mutations: Option<u64>,
    /// How many scenarios run at once [default: the number of processors]
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Accept the outcomes as snapshots, except those that contradict what their scenario declares
    #[arg(long)]
    bless: bool,
    /// How to print the results; progress goes to standard error
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Also the scenarios that test the harness itself
    #[arg(long, hide = true)]
    self_tests: bool,
    #[command(flatten)]
    places: Places,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Profiles {
    Debug,
    Release,
    All,
}

impl Profiles {
    fn list(self) -> &'static [Profile] {
        match self {
            Profiles::Debug => &[Profile::Debug],
            Profiles::Release => &[Profile::Release],
            Profiles::All => Profile::ALL,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum PlatformName {
    #[value(alias = "linux-x86_64")]
    Linux,
    /// Built for `x86_64-pc-windows-gnu` and run under Wine
    #[value(alias = "windows-x86_64")]
    Windows,
    /// One after the other
    All,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
    Junit,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    match arguments.platform {
        PlatformName::Linux => run_on(Platform::LinuxX86_64, arguments),
        PlatformName::Windows => run_on_windows(arguments),
        // The process that is started for Windows has the same arguments.
        PlatformName::All if windows::is_in_environment() => run_on_windows(arguments),
        PlatformName::All => {
            if arguments.format != Format::Human {
                bail!("a report is about one platform; run each with this --format");
            }
            println!("{}", Platform::LinuxX86_64.title());
            let linux = run_on(Platform::LinuxX86_64, arguments)?;
            println!("{}", Platform::WindowsX86_64.title());
            let windows = run_on_windows(arguments)?;
            Ok(if linux == ExitCode::SUCCESS { windows } else { linux })
        }
    }
}

fn run_on_windows(arguments: &Arguments) -> Result<ExitCode> {
    match windows::in_environment()? {
        Some(code) => Ok(code),
        None => run_on(Platform::WindowsX86_64, arguments),
    }
}

fn run_on(platform: Platform, arguments: &Arguments) -> Result<ExitCode> {
    let profiles = arguments.profile.list();
    let variant = match (platform, arguments.sanitizer) {
        (Platform::WindowsX86_64, Some(_)) => bail!("there is no sanitizer for Windows here"),
        (Platform::WindowsX86_64, None) => windows::variant(),
        (Platform::LinuxX86_64, Some(sanitizer)) => sanitizer.variant()?,
        (Platform::LinuxX86_64, None) => Variant::default(),
    };

    let wine = match platform {
        Platform::WindowsX86_64 => Some(Wine::start(&arguments.places.root()?)?),
        Platform::LinuxX86_64 => None,
    };
    let list = |executable: &Path| match &wine {
        Some(wine) => wine.list(executable, arguments.self_tests),
        None => list(executable, arguments.self_tests),
    };
    if let Some(filter) = &arguments.filter {
        // Before anything else is built, so that a filter that matches nothing is told so soon.
        let all = list(&arguments.places.build_runner(profiles[0], &variant)?)?;
        if filtered(&all, Some(filter)).is_empty() {
            eprintln!(
                "nothing matched --filter {filter}: no id or feature of the {} scenarios contains it",
                all.len()
            );
            return Ok(ExitCode::from(exit::USAGE));
        }
    }
    let mut runners = build(&arguments.places, profiles, &variant)?;
    let all = list(&runners[&profiles[0]].executable)?;
    let mut scenarios = filtered(&all, arguments.filter.as_deref());
    if let Some(wine) = &wine {
        runners.values_mut().try_for_each(|runner| wine.launch(runner))?;
        // Wine reserves more address space than it uses.
        scenarios.iter_mut().for_each(|scenario| scenario.limits.address_space = None);
    }
    if let Some(sanitizer) = arguments.sanitizer {
        runners.values_mut().for_each(|runner| runner.environment = sanitizer.environment(&variant));
        scenarios = sanitizer.allowed(scenarios);
    }
    if let Some(mutations) = arguments.mutations {
        let variable = (MUTATIONS_VARIABLE.to_owned(), mutations.to_string());
        runners.values_mut().for_each(|runner| runner.environment.push(variable.clone()));
    }

    let root = arguments.places.root()?;
    let snapshots = Snapshots::new(&root, platform);
    if wine.is_some() {
        note_environment(&snapshots, arguments.bless)?;
    }
    let matrix = Matrix { runners, platform, snapshots, bless: arguments.bless };
    let jobs = matrix.jobs(&scenarios);
    if jobs.is_empty() {
        eprintln!("no scenario runs with this filter, profile, platform and sanitizer");
        return Ok(ExitCode::from(exit::USAGE));
    }
    let parallel =
        arguments.jobs.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let progress = progress_bar(jobs.len());
    let results = matrix.run(&jobs, parallel, &|result| {
        progress.set_message(result.scenario.id.clone());
        progress.inc(1);
    });
    progress.finish_and_clear();

    let summary = Summary { platform, snapshots: &matrix.snapshots, root: &root, results: &results };
    match arguments.format {
        Format::Human => report::human::print(&summary)?,
        Format::Json => report::json::print(&summary)?,
        Format::Junit => report::junit::print(&summary)?,
    }
    Ok(if summary.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}

/// Builds runner and fixtures for these profiles, at the same time: while one build is at a crate that nothing can be
/// built beside, such as `core`, the other one has something to do.
fn build(places: &Places, profiles: &[Profile], variant: &Variant) -> Result<BTreeMap<Profile, Runner>> {
    let build = |profile| places.prepare(places.build_runner(profile, variant)?, profile, variant);
    std::thread::scope(|scope| {
        let builds: Vec<_> =
            profiles.iter().map(|profile| (*profile, scope.spawn(|| build(*profile)))).collect();
        let built = builds.into_iter().map(|(profile, build)| {
            let runner = build.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok((profile, runner))
        });
        built.collect()
    })
}

/// Has the table say what accepted outcomes are those of. Without accepting any, tells when it is another by now.
fn note_environment(snapshots: &Snapshots, bless: bool) -> Result<()> {
    let here = windows::description()?;
    let known = snapshots.environment()?;
    if known.as_ref() == Some(&here) {
        return Ok(());
    }
    if bless {
        snapshots.set_environment(&here)?;
    } else if let Some(known) = known {
        eprintln!("the snapshots are of what was {known}; this run is of what is {here}");
    }
    Ok(())
}

fn filtered(scenarios: &[ScenarioInfo], filter: Option<&str>) -> Vec<ScenarioInfo> {
    let matches = |scenario: &&ScenarioInfo| {
        filter.is_none_or(|filter| scenario.id.contains(filter) || scenario.feature.id().contains(filter))
    };
    scenarios.iter().filter(matches).cloned().collect()
}

fn progress_bar(length: usize) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    if !stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
