//! Links between the Markdown files of this repository, and the files that the guide includes.
//!
//! Part of `cargo xtask tidy`. Links to other places are not followed: a check must not depend on them.

use std::fs;
use std::path::Path;

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

/// What is wrong with the links of one Markdown file at `path`, which is relative to `root`.
pub fn findings(root: &Path, path: &str, text: &str) -> Vec<String> {
    let folder = root.join(path).parent().unwrap_or(root).to_owned();
    let missing = includes(text).filter(|target| !folder.join(target).is_file());
    let included = missing.map(|target| format!("{path}: includes `{target}`, which does not exist"));
    let linked = links(text).into_iter().filter_map(|link| {
        let (target, anchor) = link.split_once('#').unwrap_or((&link, ""));
        let target = folder.join(target);
        if !target.exists() {
            return Some(format!("{path}: links to `{link}`, which does not exist"));
        }
        let own = link.starts_with('#');
        let linked_text = if own { text.to_owned() } else { fs::read_to_string(target).unwrap_or_default() };
        let found = anchor.is_empty() || anchors(&linked_text).iter().any(|found| found == anchor);
        (!found).then(|| format!("{path}: links to `{link}`, where no heading is called so"))
    });
    included.chain(linked).collect()
}

/// Files that mdBook puts in: `{{#include path}}`.
fn includes(text: &str) -> impl Iterator<Item = &str> {
    text.split("{{#include ").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.trim()))
}

/// Targets of links and images inside this repository.
fn links(text: &str) -> Vec<String> {
    let targets = Parser::new(text).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            Some(dest_url.into_string())
        }
        _ => None,
    });
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// What the headings of a text can be linked to by, as mdBook and GitHub have it.
fn anchors(text: &str) -> Vec<String> {
    let mut anchors = Vec::new();
    let mut heading: Option<String> = None;
    for event in Parser::new(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => anchors.extend(heading.take().as_deref().map(anchor)),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    anchors
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|character| match character {
        ' ' => Some('-'),
        '-' | '_' => Some(character),
        _ => character.is_alphanumeric().then_some(character),
    });
    kept.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("other.md"), "# What `unload` does\n").unwrap();
        let findings = |text: &str| findings(folder.path(), "this.md", text);
        let good = "# Here\n[a](other.md) [b](other.md#what-unload-does) [c](#here) [d](https://example.invalid/x)\n";
        assert_eq!(findings(good), Vec::<String>::new());
        assert_eq!(findings("[a](another.md)").len(), 1);
        assert_eq!(findings("[a](other.md#elsewhere)").len(), 1);
        assert_eq!(findings("[a](#here)").len(), 1);
        assert_eq!(findings("```\n{{#include other.md}}\n{{#include another.md}}\n```\n").len(), 1);
        assert_eq!(findings("`[a](another.md)`"), Vec::<String>::new());
    }
}
