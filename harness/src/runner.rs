//! The main function of a runner executable: lists its scenarios, and runs the body of one.
//!
//! It must not know how its process is watched; it is told where to write the report, and writes it as things happen.
//! It can be run by hand, for instance in a debugger: `relib-scenario run ID --manifest target/fixtures/manifest-debug.json`.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;

use crate::axes::Profile;
use crate::failure::{Failure, chain};
use crate::fixtures::Fixtures;
use crate::outcome::{Ending, Outcome};
use crate::report::{Event, Report, ReportWriter};
use crate::run::{Directories, Run};
use crate::scenario::{Scenario, ScenarioInfo};

/// The exit code for a command that cannot be followed. clap uses the same for one that is not understood.
const EXIT_USAGE: u8 = 2;

/// Lists scenarios, and runs the body of one in this process
#[derive(clap::Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print the scenarios as JSON
    List,
    /// Run one in this process
    Run {
        /// Its name
        id: String,
        #[command(flatten)]
        options: Options,
    },
}

/// What `run` was told.
#[derive(clap::Args)]
struct Options {
    /// The manifest of the fixtures; none if there is none
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Where to report what happens, instead of printing the outcome at the end
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// A directory for the scenario's own files
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// Runs the command that the process was started with.
pub fn main(scenarios: &'static [Scenario]) -> ExitCode {
    crate::process::adopt_temporary_directory();
    match follow(Cli::parse().command, scenarios) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn follow(command: Command, scenarios: &'static [Scenario]) -> Result<(), String> {
    match command {
        Command::List => {
            let list: Vec<ScenarioInfo> = scenarios.iter().map(Scenario::info).collect();
            let json = serde_json::to_string_pretty(&list).map_err(|error| error.to_string())?;
            println!("{json}");
            Ok(())
        }
        Command::Run { id, options } => {
            let scenario = scenarios
                .iter()
                .find(|scenario| scenario.id == id)
                .ok_or_else(|| format!("no scenario is called {id}; the list command shows all of them"))?;
            run(scenario, &options)
        }
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
    use clap::CommandFactory as _;

    use crate::axes::Feature;

    fn body(_: &mut Run) -> Result<(), Failure> {
        Ok(())
    }

    const SCENARIOS: &[Scenario] = &[Scenario::new("a", Feature::SelfTest, body)];

    fn error(arguments: &[&str]) -> String {
        let arguments = ["relib-scenario"].iter().chain(arguments);
        follow(Cli::try_parse_from(arguments).unwrap().command, SCENARIOS).unwrap_err()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_that_cannot_be_followed_says_why() {
        assert!(error(&["run", "b"]).starts_with("no scenario is called b"));
        assert!(
            error(&["run", "a", "--manifest", "/nonexistent"])
                .starts_with("cannot read the fixture manifest")
        );
    }
}
