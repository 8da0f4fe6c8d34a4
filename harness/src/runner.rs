//! The main function of a runner executable: lists its scenarios, and runs the body of one.
//!
//! It must not know how its process is watched; it is told where to write the report, and writes it as things happen.
//! It can be run by hand, for instance in a debugger: `relib-scenario run ID --manifest target/fixtures/manifest-debug.json`.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::fixtures::Fixtures;
use crate::outcome::{Ending, Outcome};
use crate::report::{Event, Report, ReportWriter};
use crate::scenario::{Directories, Failure, Profile, Run, Scenario, ScenarioInfo, chain};

/// The exit code for a command line that is not understood or cannot be followed.
const EXIT_USAGE: u8 = 2;

const USAGE: &str = "usage:
  list                                            the scenarios as JSON
  run ID [--manifest FILE] [--report FILE] [--scratch DIR]
                                                  runs one in this process; without --report prints the outcome";

/// Runs the command that the process was started with.
pub fn main(scenarios: &'static [Scenario]) -> ExitCode {
    match command(std::env::args().skip(1), scenarios) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn command(
    mut arguments: impl Iterator<Item = String>,
    scenarios: &'static [Scenario],
) -> Result<(), String> {
    match arguments.next().as_deref() {
        Some("list") => {
            let list: Vec<ScenarioInfo> = scenarios.iter().map(Scenario::info).collect();
            let json = serde_json::to_string_pretty(&list).map_err(|error| error.to_string())?;
            println!("{json}");
            Ok(())
        }
        Some("run") => {
            let id = arguments.next().ok_or(USAGE)?;
            let scenario = scenarios
                .iter()
                .find(|scenario| scenario.id == id)
                .ok_or_else(|| format!("no scenario is called {id}; the list command shows all of them"))?;
            run(scenario, &Options::parse(arguments)?)
        }
        _ => Err(USAGE.to_owned()),
    }
}

/// What `run` was told.
#[derive(Default)]
struct Options {
    manifest: Option<PathBuf>,
    report: Option<PathBuf>,
    scratch: Option<PathBuf>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options::default();
        while let Some(flag) = arguments.next() {
            let slot = match flag.as_str() {
                "--manifest" => &mut options.manifest,
                "--report" => &mut options.report,
                "--scratch" => &mut options.scratch,
                _ => return Err(format!("unknown argument {flag}\n{USAGE}")),
            };
            *slot = Some(arguments.next().ok_or_else(|| format!("{flag} needs a value\n{USAGE}"))?.into());
        }
        Ok(options)
    }
}

fn run(scenario: &Scenario, options: &Options) -> Result<(), String> {
    let fixtures = match &options.manifest {
        Some(path) => Fixtures::load(path).map_err(|error| chain(&error))?,
        None => Fixtures::none(Profile::current()),
    };
    // Run by hand, the report and the scratch directory are made up and go at the end. Otherwise nothing of ours may
    // lie in TMPDIR while the body runs.
    let Some(report) = &options.report else {
        let own =
            tempfile::tempdir().map_err(|error| format!("cannot create a temporary directory: {error}"))?;
        let report = own.path().join("report");
        finish(scenario, fixtures, &report, options.scratch.as_deref().unwrap_or(own.path()))?;
        let report = Report::read(&report).map_err(|error| format!("cannot read the report: {error}"))?;
        let ending = report.ending.ok_or("the report has no end")?;
        print!("{}", Outcome { ending, observations: report.observations }.render());
        return Ok(());
    };
    let beside = report.parent().unwrap_or(Path::new("."));
    finish(scenario, fixtures, report, options.scratch.as_deref().unwrap_or(beside))
}

/// Why a body that has ended well is no success: nothing has looked for leaks.
const NO_BASELINE: &str = "no baseline was taken; take one by Run::baseline after the warm-up, or say by \
                           Scenario::leaves what is left behind, and why";

/// Runs the body and reports how it ended.
fn finish(scenario: &Scenario, fixtures: Fixtures, report: &Path, scratch: &Path) -> Result<(), String> {
    let writer = ReportWriter::create(report)
        .map_err(|error| format!("cannot create the report {}: {error}", report.display()))?;
    let directories = Directories { temp: std::env::temp_dir(), scratch: scratch.to_owned() };
    let mut run = Run::new(fixtures, directories, writer);
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        LAST_LOCATION.with(|last| *last.borrow_mut() = location(info));
        before(info);
    }));
    let ended = panic::catch_unwind(AssertUnwindSafe(|| (scenario.run)(&mut run)));
    let ending = match ended {
        Ok(Ok(())) => match run.leaks() {
            None if scenario.leaves.is_some() => Ending::Ok,
            None => Ending::Failed { message: NO_BASELINE.to_owned() },
            Some(Ok(leaks)) if leaks.is_empty() => Ending::Ok,
            Some(Ok(leaks)) => Ending::Leak { what: leaks.iter().map(ToString::to_string).collect() },
            Some(Err(error)) => {
                let failure = Failure::from(error).context("cannot look for leaks");
                Ending::Failed { message: failure.message().to_owned() }
            }
        },
        Ok(Err(failure)) => Ending::Failed { message: failure.message().to_owned() },
        Err(payload) => Ending::Panicked {
            message: payload_text(&*payload),
            location: LAST_LOCATION.with(|last| last.take()),
        },
    };
    run.into_report()
        .write(&Event::Ended { ending })
        .map_err(|error| format!("cannot write the end of the report: {error}"))
}

thread_local! {
    /// Where the last panic of this thread was; a panic of another thread does not end the body.
    static LAST_LOCATION: RefCell<String> = const { RefCell::new(String::new()) };
}

fn location(info: &PanicHookInfo<'_>) -> String {
    info.location().map(ToString::to_string).unwrap_or_default()
}

fn payload_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(the payload is no text)").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Feature;

    fn body(_: &mut Run) -> Result<(), Failure> {
        Ok(())
    }

    const SCENARIOS: &[Scenario] = &[Scenario::new("a", Feature::SelfTest, body)];

    fn error(arguments: &[&str]) -> String {
        command(arguments.iter().map(ToString::to_string), SCENARIOS).unwrap_err()
    }

    #[test]
    fn a_wrong_command_line_says_what_is_wrong() {
        assert_eq!(error(&[]), USAGE);
        assert_eq!(error(&["run"]), USAGE);
        assert!(error(&["run", "b"]).starts_with("no scenario is called b"));
        assert!(error(&["run", "a", "--nope"]).starts_with("unknown argument --nope"));
        assert!(error(&["run", "a", "--report"]).starts_with("--report needs a value"));
        assert!(
            error(&["run", "a", "--manifest", "/nonexistent"])
                .starts_with("cannot read the fixture manifest")
        );
    }
}
