//! The chapter about errors has an entry for each variant of each error of relib, with a message that relib prints.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use relib_book::chapter;
use relib_tests::root;
use syn::{Item, Visibility};

/// Enums with entries that are not called errors.
const OTHERS: &[&str] = &["StayReason"];

/// `LoadError::Missing` and so on, from the source of the host's crate.
fn variants() -> BTreeSet<String> {
    let mut variants = BTreeSet::new();
    for path in files_below(&root().join("relib/host/src"), "rs") {
        let file = syn::parse_file(&read(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        for item in file.items {
            if let Item::Enum(item) = item
                && matches!(item.vis, Visibility::Public(_))
                && (item.ident.to_string().ends_with("Error") || OTHERS.contains(&&*item.ident.to_string()))
            {
                variants
                    .extend(item.variants.iter().map(|variant| format!("{}::{}", item.ident, variant.ident)));
            }
        }
    }
    variants
}

/// What relib has printed in scenarios, by the accepted outcomes; and the messages as they stand in its source, for those
/// that no scenario brings about.
fn printed() -> Vec<String> {
    let mut lines = Vec::new();
    for path in files_below(&root().join("snapshots"), "snap") {
        lines.extend(read(&path).lines().map(str::to_owned));
    }
    for path in files_below(&root().join("relib/host/src"), "rs") {
        // Literals that go on in the next line.
        let parts: Vec<String> = read(&path).split("\\\n").map(|part| part.trim_start().to_owned()).collect();
        lines.extend(parts.concat().lines().map(|line| line.replace("\\\"", "\"")));
    }
    lines
}

fn files_below(folder: &Path, extension: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path.into_os_string().into_string().unwrap());
        }
    }
    files
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The entries of the chapter: the variant, and the message.
fn entries() -> Vec<(String, String)> {
    let chapter = chapter("errors.md");
    let entries = chapter.split("\n### `").skip(1).map(|entry| {
        let (variant, text) = entry.split_once('`').expect("the name of a variant has an end");
        let quoted =
            text.lines().skip_while(|line| !line.starts_with('>')).take_while(|line| line.starts_with('>'));
        let message = quoted.map(|line| line[1..].trim()).collect::<Vec<_>>().join(" ");
        (variant.to_owned(), message)
    });
    entries.collect()
}

/// Whether a line has these parts one after the other.
fn matches(line: &str, parts: &[&str]) -> bool {
    let mut rest = line;
    parts.iter().all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

#[test]
fn every_error_has_an_entry() {
    let variants = variants();
    assert!(variants.contains("LoadError::Missing") && variants.contains("StayReason::HeldElsewhere"));
    let entries: BTreeSet<String> = entries().into_iter().map(|(variant, _)| variant).collect();
    let missing: Vec<_> = variants.difference(&entries).collect();
    let stale: Vec<_> = entries.difference(&variants).collect();
    assert!(missing.is_empty(), "docs/book/src/errors.md has no entry for {missing:?}");
    assert!(stale.is_empty(), "docs/book/src/errors.md has entries for {stale:?}, which do not exist");
}

#[test]
fn messages_are_those_of_relib() {
    let printed = printed();
    let unknown: Vec<_> = entries()
        .into_iter()
        .filter(|(_, message)| {
            // In the source this stands by itself.
            let parts = message.strip_prefix("cannot load …: ").unwrap_or(message).split('…');
            let parts: Vec<&str> = parts.map(str::trim).collect();
            message.is_empty() || !printed.iter().any(|line| matches(line, &parts))
        })
        .collect();
    assert!(
        unknown.is_empty(),
        "relib does not print these messages of docs/book/src/errors.md: {unknown:#?}"
    );
}
