//! `cargo xtask tidy`: rules of this repository that neither the compiler nor clippy knows.

mod arrows;
mod links;
mod manifest;
mod source;
mod table;
mod tree;
mod unseen;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::exit;
use crate::runner::Places;
use table::{MAP, TABLE, Table};

#[derive(clap::Args)]
pub struct Arguments {
    /// Write the table of rooms into docs/ARCHITECTURE.md
    #[arg(long)]
    write: bool,
    #[command(flatten)]
    places: Places,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let root = arguments.places.root()?;
    let mut findings = Vec::new();
    for path in tracked_files(&root)? {
        if path.ends_with(".snap.new") {
            findings.push(format!("{path}: a pending snapshot is tracked; accept it or remove it"));
        }
        // A file that is staged for removal is listed and not there.
        let Ok(bytes) = fs::read(root.join(&path)) else { continue };
        match String::from_utf8(bytes) {
            Ok(text) if path.ends_with(".rs") => findings.extend(source_findings(&path, &text)),
            Ok(text) if path.ends_with(".md") => findings.extend(links::findings(&root, &path, &text)),
            Ok(_) => {}
            Err(_) => {
                findings.push(format!("{path}: not a text file; keep what is built out of the repository"))
            }
        }
    }
    findings.extend(map_findings(&root)?);
    findings.extend(room_findings(&root, arguments.write)?);
    for finding in &findings {
        eprintln!("{finding}");
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}

fn tracked_files(root: &Path) -> Result<Vec<String>> {
    let output =
        Command::new("git").args(["ls-files", "-z"]).current_dir(root).output().context("cannot run git")?;
    if !output.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let listing = String::from_utf8(output.stdout).context("a tracked file's name is not UTF-8")?;
    Ok(listing.split_terminator('\0').map(str::to_owned).collect())
}

/// What is wrong with one source file.
fn source_findings(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    // What the README shows as it is has to be short.
    if !path.starts_with("examples/hello/") && !text.starts_with("//!") {
        findings.push(format!("{path}: open the file with a `//!` line that says what it is for"));
    }
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        // Split, so that this file does not find itself.
        for word in
            [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("todo", "!("), concat!("unimplemented", "!(")]
        {
            if line.contains(word) {
                findings.push(format!("{path}:{number}: `{word}` belongs into an issue"));
            }
        }
    }
    findings.extend(pasted_reasons(path, text));
    findings
}

/// How often one file may give the same reason for unsafe code. A fact that holds in more places belongs into one function
/// or macro.
const SAME_REASON: usize = 3;

/// Comments on unsafe code that were pasted from place to place.
fn pasted_reasons(path: &str, text: &str) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut lines = text.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        let Some(reason) = line.strip_prefix(concat!("// SAF", "ETY:")) else { continue };
        let mut reason = reason.trim().to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with("// ")) {
            reason.push_str(&more[2..]);
        }
        *counts.entry(reason).or_default() += 1;
    }
    let pasted = counts.into_iter().filter(|(_, count)| *count > SAME_REASON);
    pasted
        .map(|(reason, count)| {
            format!(
                "{path}: {count} pieces of unsafe code have the same reason, `{reason}`; put them into one"
            )
        })
        .collect()
}

/// What is wrong with the table of rooms, with the imports by it, and with how the map shows it.
fn room_findings(root: &Path, write: bool) -> Result<Vec<String>> {
    let table = Table::read(root)?;
    let mut findings = table.findings();
    if findings.is_empty() {
        findings.extend(arrows::findings(root, &table)?);
    }
    let path = root.join(MAP);
    let map = fs::read_to_string(&path).with_context(|| format!("cannot read {MAP}"))?;
    match table::shown_in(&map, &table) {
        None => findings.push(format!("{MAP}: there are no marks for the table of rooms")),
        Some(shown) if shown == map => {}
        Some(shown) if write => fs::write(&path, shown).with_context(|| format!("cannot write {MAP}"))?,
        Some(_) => findings
            .push(format!("{MAP}: it shows another table than {TABLE}; run `cargo xtask tidy --write`")),
    }
    Ok(findings)
}

/// Paths in the architecture map that do not exist.
fn map_findings(root: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(root.join(MAP)).with_context(|| format!("cannot read {MAP}"))?;
    let top_level =
        ["relib/", "harness", "tests", "test-modules", "snapshots", "xtask", "examples", "docs/", "benches"];
    let quoted = text.split('`').skip(1).step_by(2);
    Ok(quoted
        .filter(|path| {
            top_level.iter().any(|top| path.starts_with(top)) && !path.contains(char::is_whitespace)
        })
        .filter(|path| !root.join(path).exists())
        .map(|path| format!("{MAP}: `{path}` does not exist; keep the map true"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_it_looks_for() {
        assert_eq!(source_findings("a.rs", "//! Fine.\nfn a() {}\n"), Vec::<String>::new());
        assert_eq!(source_findings("a.rs", "fn a() {}\n").len(), 1);
        let unfinished = format!("//! Not fine.\nfn a() {{ {}) }}\n", concat!("todo", "!("));
        assert_eq!(source_findings("a.rs", &unfinished).len(), 1);
        let unsafely = concat!("// SAF", "ETY: it is\n// well.\nunsafe {}\n");
        assert_eq!(
            source_findings("a.rs", &format!("//! Fine.\n{}", unsafely.repeat(3))),
            Vec::<String>::new()
        );
        let pasted = source_findings("a.rs", &format!("//! Not fine.\n{}", unsafely.repeat(4)));
        assert!(
            pasted[0].contains("4 pieces of unsafe code have the same reason, `it is well.`"),
            "{pasted:?}"
        );
    }
}
