//! The support table of the README, computed from the accepted outcomes.
//!
//! It must not run anything and must not know today's results: whatever it says can be read again in the snapshots.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::axes::{Feature, Platform, Profile};
use crate::scenario::ScenarioInfo;
use crate::snapshot::{SnapshotError, Snapshots, is_ok};

/// The line before the table.
pub const START: &str = "<!-- support-table:start -->";
/// The line after the table.
pub const END: &str = "<!-- support-table:end -->";

/// The state of a scenario on a platform.
enum State {
    /// Every profile has an accepted outcome, and each is ok.
    Ok,
    /// Not every one: the profiles that are not ok and what they are instead.
    NotOk(Vec<(Profile, String)>),
}

/// Renders the table and its legend for these scenarios from the snapshots under `root`.
///
/// # Errors
/// When a snapshot cannot be read.
pub fn render(scenarios: &[ScenarioInfo], root: &Path) -> Result<String, SnapshotError> {
    let mut footnotes: Vec<String> = Vec::new();
    let mut text = String::from("| Feature |");
    for platform in Platform::ALL {
        let _ = write!(text, " {} |", platform.title());
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(Platform::ALL.len()));
    text.push('\n');
    for feature in Feature::ALL {
        let _ = write!(text, "| {} |", feature.title());
        for &platform in Platform::ALL {
            let _ = write!(text, " {} |", cell(scenarios, root, feature, platform, &mut footnotes)?);
        }
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&legend(scenarios));
    for &platform in Platform::ALL {
        if let Some(environment) = Snapshots::new(root, platform).environment()? {
            let _ = writeln!(text, "{}: {environment}.", platform.title());
        }
    }
    if !footnotes.is_empty() {
        text.push('\n');
        for (index, footnote) in footnotes.iter().enumerate() {
            let _ = writeln!(text, "{}. {footnote}", index + 1);
        }
    }
    text.push_str(&of_one_platform(scenarios));
    Ok(text)
}

/// The scenarios that not every platform has, with the reasons, folded away.
fn of_one_platform(scenarios: &[ScenarioInfo]) -> String {
    let mut rows = String::new();
    for scenario in scenarios.iter().filter(|scenario| scenario.feature != Feature::SelfTest) {
        if let Some(reason) = &scenario.platforms_reason {
            let platforms: Vec<&str> = scenario.platforms.iter().map(|platform| platform.title()).collect();
            let _ = writeln!(rows, "| `{}` | {} | {reason} |", scenario.id, platforms.join(", "));
        }
    }
    if rows.is_empty() {
        return rows;
    }
    format!(
        "\n<details><summary>Scenarios of one platform, and why the other has none</summary>\n\n\
         | Scenario | Platform | Reason |\n|---|---|---|\n{rows}\n</details>\n"
    )
}

fn cell(
    scenarios: &[ScenarioInfo],
    root: &Path,
    feature: Feature,
    platform: Platform,
    footnotes: &mut Vec<String>,
) -> Result<String, SnapshotError> {
    let snapshots = Snapshots::new(root, platform);
    let members: Vec<&ScenarioInfo> = scenarios
        .iter()
        .filter(|scenario| scenario.feature == feature && scenario.platforms.contains(&platform))
        .collect();
    if members.is_empty() || !snapshots.any() {
        return Ok("—".to_owned());
    }
    let mut passed = 0;
    let mut marks = Vec::new();
    for scenario in &members {
        match state(&snapshots, scenario)? {
            State::Ok => passed += 1,
            State::NotOk(instead) => {
                let footnote = footnote(scenario, platform, &instead);
                let known = footnotes.iter().position(|known| *known == footnote);
                let number = known.unwrap_or_else(|| {
                    footnotes.push(footnote);
                    footnotes.len() - 1
                });
                marks.push(number + 1);
            }
        }
    }
    let symbol = match passed {
        _ if passed == members.len() => "✅",
        0 => "❌",
        _ => "🟨",
    };
    let mut cell = format!("{symbol} {passed}/{}", members.len());
    if !marks.is_empty() {
        marks.sort_unstable();
        let marks: Vec<String> = marks.iter().map(usize::to_string).collect();
        let _ = write!(cell, " <sup>{}</sup>", marks.join(", "));
    }
    Ok(cell)
}

fn state(snapshots: &Snapshots, scenario: &ScenarioInfo) -> Result<State, SnapshotError> {
    let mut instead = Vec::new();
    for &profile in &scenario.profiles {
        match snapshots.read(profile, &scenario.id)? {
            Some(text) if is_ok(&text) => {}
            Some(text) => {
                let first = text.trim_start().lines().next().unwrap_or_default();
                instead.push((profile, first.trim_start_matches("outcome: ").to_owned()));
            }
            None => instead.push((profile, "no accepted outcome".to_owned())),
        }
    }
    Ok(if instead.is_empty() && !scenario.profiles.is_empty() { State::Ok } else { State::NotOk(instead) })
}

/// The declared footnote, or else what the snapshots say.
fn footnote(scenario: &ScenarioInfo, platform: Platform, instead: &[(Profile, String)]) -> String {
    let text = match scenario.footnote(platform) {
        Some(footnote) => footnote.to_owned(),
        None => {
            let profiles: Vec<String> =
                instead.iter().map(|(profile, outcome)| format!("{outcome} ({profile})")).collect();
            profiles.join(", ")
        }
    };
    format!("`{}`: {text}", scenario.id)
}

fn legend(scenarios: &[ScenarioInfo]) -> String {
    let count = scenarios.iter().filter(|scenario| scenario.feature != Feature::SelfTest).count();
    format!(
        "Generated by `cargo xtask gen-support-table` from the outcomes under `snapshots/`, never typed by hand: \
         {count} scenarios, each\nrun in a process of its own, in the debug and the release profile where both apply. \
         ✅ all of a feature's scenarios pass,\n🟨 some do, ❌ none does (a number leads to the reason), — not run on \
         this platform. `cargo xtask test-matrix` runs them again.\n"
    )
}

/// What keeps the table from being complete: scenarios without a snapshot, on every platform that has any, and
/// snapshots without a scenario. Empty when all is well.
pub fn gaps(scenarios: &[ScenarioInfo], root: &Path) -> Vec<Gap> {
    let scenarios: Vec<ScenarioInfo> =
        scenarios.iter().filter(|scenario| scenario.feature != Feature::SelfTest).cloned().collect();
    let mut gaps = Vec::new();
    for &platform in Platform::ALL {
        let snapshots = Snapshots::new(root, platform);
        let here: Vec<ScenarioInfo> =
            scenarios.iter().filter(|scenario| scenario.platforms.contains(&platform)).cloned().collect();
        // Linux is what everybody can run; another platform counts once it was run at all.
        if platform == Platform::LinuxX86_64 || snapshots.any() {
            for scenario in &here {
                for &profile in &scenario.profiles {
                    let path = snapshots.path(profile, &scenario.id);
                    if !path.exists() {
                        gaps.push(Gap::NoSnapshot { path });
                    }
                }
            }
        }
        gaps.extend(snapshots.orphans(&here).into_iter().map(|path| Gap::NoScenario { path }));
    }
    gaps
}

/// One thing that keeps the table from being complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// A scenario has not been accepted.
    NoSnapshot {
        /// The file that is missing.
        path: PathBuf,
    },
    /// A snapshot belongs to no scenario.
    NoScenario {
        /// The file that is left over.
        path: PathBuf,
    },
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gap::NoSnapshot { path } => {
                write!(f, "no snapshot {}; run cargo xtask test-matrix --bless", path.display())
            }
            Gap::NoScenario { path } => write!(f, "no scenario for {}; delete the file", path.display()),
        }
    }
}

/// Puts the table between the markers of a README.
///
/// # Errors
/// When the markers are not there, once each and in order.
pub fn insert(readme: &str, table: &str) -> Result<String, MarkersMissing> {
    let (before, rest) = readme.split_once(START).ok_or(MarkersMissing)?;
    let (_, after) = rest.split_once(END).ok_or(MarkersMissing)?;
    if after.contains(START) || after.contains(END) {
        return Err(MarkersMissing);
    }
    Ok(format!("{before}{START}\n{}\n{END}{after}", table.trim_end()))
}

/// The README does not say where the table belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkersMissing;

impl fmt::Display for MarkersMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the support table needs the lines `{START}` and `{END}`, once each and in this order")
    }
}

impl std::error::Error for MarkersMissing {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::run::Run;
    use crate::scenario::Scenario;

    fn body(_: &mut Run) -> Result<(), Failure> {
        Ok(())
    }

    fn scenarios() -> Vec<ScenarioInfo> {
        const SCENARIOS: &[Scenario] = &[
            Scenario::new("leak-forget", Feature::Memory, body),
            Scenario::new("panic-main", Feature::Panics, body),
            Scenario::new("panic-double", Feature::Panics, body).limit("abort", "a panic in Drop aborts"),
            Scenario::new("panic-new", Feature::Panics, body).profiles(&[Profile::Debug]),
            Scenario::new("threads-c", Feature::Threads, body).linux_only("others have no such threads"),
            Scenario::new("hidden", Feature::SelfTest, body),
        ];
        SCENARIOS.iter().map(Scenario::info).collect()
    }

    fn accept(root: &Path, platform: Platform, id: &str, profiles: &[Profile], text: &str) {
        for &profile in profiles {
            Snapshots::new(root, platform).bless(profile, id, text).unwrap();
        }
    }

    #[test]
    fn cells_follow_the_snapshots() {
        let root = tempfile::tempdir().unwrap();
        let linux = Platform::LinuxX86_64;
        accept(root.path(), linux, "leak-forget", Profile::ALL, "outcome: ok\n");
        accept(root.path(), linux, "panic-main", Profile::ALL, "outcome: ok\n");
        accept(root.path(), linux, "panic-double", Profile::ALL, "outcome: abort\n");
        accept(root.path(), linux, "panic-new", &[Profile::Debug], "outcome: leak\nleak: x\n");
        accept(root.path(), linux, "threads-c", &[Profile::Debug], "outcome: ok\n");
        let table = render(&scenarios(), root.path()).unwrap();
        let rows: Vec<&str> =
            table.lines().filter(|line| line.contains('/') && line.starts_with('|')).collect();
        assert_eq!(
            rows,
            [
                "| Memory deallocation | ✅ 1/1 | — |",
                "| Panic handling | 🟨 1/3 <sup>1, 2</sup> | — |",
                "| Background threads check | ❌ 0/1 <sup>3</sup> | — |",
            ]
        );
        let footnotes: Vec<&str> =
            table.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).collect();
        assert_eq!(
            footnotes,
            [
                "1. `panic-double`: a panic in Drop aborts",
                "2. `panic-new`: leak (debug)",
                "3. `threads-c`: no accepted outcome (release)",
            ]
        );
        assert!(table.contains("| Reload | — | — |"));
        assert!(table.contains("\n| `threads-c` | Linux x86_64 | others have no such threads |\n"));
        assert!(!table.contains("Windows x86_64:"));
        assert!(!table.contains("hidden") && table.contains(" 5 scenarios"));
    }

    #[test]
    fn the_legend_says_what_was_run() {
        let root = tempfile::tempdir().unwrap();
        Snapshots::new(root.path(), Platform::WindowsX86_64).set_environment("run under Wine").unwrap();
        let table = render(&scenarios(), root.path()).unwrap();
        assert!(table.contains("\nWindows x86_64: run under Wine.\n"));
    }

    #[test]
    fn gaps_are_scenarios_without_snapshots_and_the_reverse() {
        let root = tempfile::tempdir().unwrap();
        let linux = Platform::LinuxX86_64;
        for scenario in scenarios().iter().filter(|scenario| scenario.feature != Feature::SelfTest) {
            accept(root.path(), linux, &scenario.id, &scenario.profiles, "outcome: ok\n");
        }
        assert_eq!(gaps(&scenarios(), root.path()), []);

        let snapshots = Snapshots::new(root.path(), linux);
        std::fs::remove_file(snapshots.path(Profile::Release, "leak-forget")).unwrap();
        accept(root.path(), linux, "panic-new", &[Profile::Release], "outcome: ok\n");
        accept(root.path(), Platform::WindowsX86_64, "threads-c", &[Profile::Debug], "outcome: ok\n");
        let found = gaps(&scenarios(), root.path());
        assert_eq!(found[0], Gap::NoSnapshot { path: snapshots.path(Profile::Release, "leak-forget") });
        assert_eq!(found[1], Gap::NoScenario { path: snapshots.path(Profile::Release, "panic-new") });
        let windows = Snapshots::new(root.path(), Platform::WindowsX86_64);
        assert_eq!(found.last(), Some(&Gap::NoScenario { path: windows.path(Profile::Debug, "threads-c") }));
    }

    #[test]
    fn the_table_goes_between_the_markers_and_only_there() {
        let readme = format!("# a\n{START}\nold\n{END}\nb\n");
        let once = insert(&readme, "new\n\n").unwrap();
        assert_eq!(once, format!("# a\n{START}\nnew\n{END}\nb\n"));
        assert_eq!(insert(&once, "new").unwrap(), once);
        assert_eq!(insert("no markers", "x"), Err(MarkersMissing));
        assert_eq!(insert(&format!("{readme}{START}"), "x"), Err(MarkersMissing));
    }
}
