//! For people: a table, the differences, a closing line.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _, stdout};

use anyhow::{Context as _, Result};
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{Cell, Color, Table};
use owo_colors::{OwoColorize as _, Style};
use relib_harness::matrix::JobResult;
use relib_harness::snapshot::Verdict;
use relib_harness::{Platform, Profile, ScenarioInfo};
use similar::{ChangeTag, TextDiff};

use super::Summary;

pub fn print(summary: &Summary<'_>) -> Result<()> {
    let coloured = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut text = String::new();
    if !summary.results.is_empty() {
        let _ = writeln!(text, "{}", table(summary, coloured));
    }
    for result in summary.results.iter().filter(|result| !result.passed()) {
        details(&mut text, summary, result, coloured);
    }
    if summary.failed() > 0 {
        text.push('\n');
    }
    let _ = writeln!(text, "{} passed, {} failed", summary.passed(), summary.failed());
    stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

fn table(summary: &Summary<'_>, coloured: bool) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    let mut header = vec!["feature", "scenario"];
    header.extend(Profile::ALL.iter().map(|profile| profile.id()));
    table.set_header(header);
    if !coloured {
        table.force_no_tty();
    }
    let mut rows: Vec<&ScenarioInfo> = Vec::new();
    for result in summary.results {
        if rows.last().is_none_or(|last| last.id != result.scenario.id) {
            rows.push(&result.scenario);
        }
    }
    for scenario in rows {
        let mut row = vec![Cell::new(scenario.feature.id()), Cell::new(&scenario.id)];
        row.extend(Profile::ALL.iter().map(|&profile| {
            let of = |result: &&JobResult| result.scenario.id == scenario.id && result.profile == profile;
            summary.results.iter().find(of).map_or_else(|| Cell::new("-"), outcome)
        }));
        table.add_row(row);
    }
    table
}

fn outcome(result: &JobResult) -> Cell {
    let class = result.finished.outcome.ending.class();
    let text = match (&result.verdict, result.expected) {
        (Verdict::Same, true) => class.to_owned(),
        (_, false) => format!("{class} (unexpected)"),
        (Verdict::New, true) => format!("{class} (new)"),
        (Verdict::Different { .. }, true) => format!("{class} (changed)"),
    };
    Cell::new(text).fg(if !result.passed() {
        Color::Red
    } else if result.finished.outcome.is_ok() {
        Color::Green
    } else {
        Color::Yellow
    })
}

fn details(text: &mut String, summary: &Summary<'_>, result: &JobResult, coloured: bool) {
    let style = |style: Style| if coloured { style } else { Style::new() };
    let title = format!("{} ({})", result.scenario.id, result.profile);
    let reason = summary.reason(result).unwrap_or_default();
    let _ = writeln!(text, "\n{}: {reason}", title.style(style(Style::new().bold())));
    match &result.verdict {
        Verdict::Different { expected, found } => {
            for change in TextDiff::from_lines(expected.as_str(), found.as_str()).iter_all_changes() {
                let (sign, colour) = match change.tag() {
                    ChangeTag::Delete => ('-', Style::new().red()),
                    ChangeTag::Insert => ('+', Style::new().green()),
                    ChangeTag::Equal => (' ', Style::new()),
                };
                let line = format!("  {sign} {}", change.value().trim_end());
                let _ = writeln!(text, "{}", line.style(style(colour)));
            }
        }
        Verdict::New | Verdict::Same => {
            for line in result.finished.outcome.render().lines() {
                let _ = writeln!(text, "    {line}");
            }
        }
    }
    if !result.finished.outcome.is_ok() && !result.finished.stderr.is_empty() {
        let _ = writeln!(text, "  the end of its standard error:");
        for line in result.finished.stderr.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    let platform = match summary.platform {
        Platform::LinuxX86_64 => "",
        Platform::WindowsX86_64 => " --platform windows",
    };
    let _ = writeln!(
        text,
        "  run it alone: cargo xtask test-matrix --filter {} --profile {}{platform}",
        result.scenario.id, result.profile
    );
}
