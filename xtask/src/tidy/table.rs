//! The table of crates and rooms, `docs/rooms.toml`: which may import which.
//!
//! A room is a folder or a file below a crate's `src`. The table is read here, checked for what makes no sense in itself,
//! and written as Markdown, for `docs/ARCHITECTURE.md` to show it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// Where the table is, below the root.
pub const TABLE: &str = "docs/rooms.toml";
/// Where it is shown.
pub const MAP: &str = "docs/ARCHITECTURE.md";

/// The whole table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// From those that use others to those that are used.
    #[serde(rename = "crate")]
    pub crates: Vec<Crate>,
}

/// A crate of this repository.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crate {
    /// As Rust code names it.
    pub name: String,
    /// Its folder below the root.
    pub folder: String,
    /// The crates of this repository that it may use, in code and in tests.
    pub uses: Vec<String>,
    /// Whether its files may import each other in a circle.
    #[serde(default)]
    pub circles: bool,
    /// From the highest to the lowest; empty if the crate is one room.
    #[serde(default, rename = "room")]
    pub rooms: Vec<Room>,
}

/// A folder or a file of a crate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// As Rust code names it; the face of a crate is called by its file, `lib` or `main`.
    pub name: String,
    /// What it is, for the reader.
    pub is: String,
    /// The rooms of the crate that it may use.
    pub uses: Vec<String>,
}

impl Table {
    /// Reads the table of a tree.
    pub fn read(root: &Path) -> Result<Self> {
        let text = fs::read_to_string(root.join(TABLE)).with_context(|| format!("cannot read {TABLE}"))?;
        toml::from_str(&text).with_context(|| format!("cannot make sense of {TABLE}"))
    }

    /// What is wrong with the table in itself: names that it has not, and arrows that run up in it.
    pub fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        let crates: Vec<_> = self.crates.iter().map(|one| (&one.name, &one.uses)).collect();
        findings.extend(upward("crate", &crates));
        for one in &self.crates {
            let rooms: Vec<_> = one.rooms.iter().map(|room| (&room.name, &room.uses)).collect();
            findings.extend(upward(&format!("room of {}", one.name), &rooms));
        }
        findings
    }

    /// The table in Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::from("| crate | folder | may use |\n| --- | --- | --- |\n");
        for one in &self.crates {
            writeln!(text, "| `{}` | `{}` | {} |", one.name, one.folder, names(&one.uses)).expect(WRITES);
        }
        for one in self.crates.iter().filter(|one| !one.rooms.is_empty()) {
            writeln!(text, "\nThe rooms of `{}`, from the highest to the lowest:\n", one.name).expect(WRITES);
            text.push_str("| room | what it is | may use |\n| --- | --- | --- |\n");
            for room in &one.rooms {
                writeln!(text, "| `{}` | {} | {} |", room.name, room.is, names(&room.uses)).expect(WRITES);
            }
        }
        text
    }
}

const WRITES: &str = "text can be written to a text";

fn names(names: &[String]) -> String {
    if names.is_empty() {
        return "nobody".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Arrows to what the list does not have, or has above: who may use only what stands below, forms no circle.
fn upward(what: &str, list: &[(&String, &Vec<String>)]) -> Vec<String> {
    let mut findings = Vec::new();
    for (place, (name, uses)) in list.iter().enumerate() {
        for used in *uses {
            match list.iter().position(|(other, _)| *other == used) {
                None => findings.push(format!("{TABLE}: `{name}` may use `{used}`, but there is no such {what}")),
                Some(other) if other <= place => findings.push(format!(
                    "{TABLE}: `{name}` may use `{used}`, which does not stand below it; let the arrow run down"
                )),
                Some(_) => {}
            }
        }
    }
    findings
}

/// Marks what the map shows of the table.
const START: &str = "<!-- rooms:start -->\n";
const END: &str = "<!-- rooms:end -->";

/// The map with the table as it is now; `None` if it does not have the marks.
pub fn shown_in(map: &str, table: &Table) -> Option<String> {
    let (before, rest) = map.split_once(START)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{START}{}{END}{after}", table.markdown()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn arrows_run_down() {
        let good = "[[crate]]\nname = \"a\"\nfolder = \"a\"\nuses = [\"b\"]\n\
                    [[crate]]\nname = \"b\"\nfolder = \"b\"\nuses = []\n";
        assert_eq!(table(good).findings(), Vec::<String>::new());
        let upward = good.replace("uses = []", "uses = [\"a\"]");
        assert!(table(&upward).findings()[0].contains("`b` may use `a`, which does not stand below it"));
        let unknown = good.replace("uses = []", "uses = [\"c\"]");
        assert!(table(&unknown).findings()[0].contains("there is no such crate"));
    }

    #[test]
    fn the_map_shows_it() {
        let table = table("[[crate]]\nname = \"a\"\nfolder = \"f\"\nuses = []\n");
        let map = "before\n<!-- rooms:start -->\nstale\n<!-- rooms:end -->\nafter\n";
        let shown = shown_in(map, &table).unwrap();
        assert!(shown.starts_with("before\n") && shown.ends_with("after\n") && !shown.contains("stale"));
        assert!(shown.contains("| `a` | `f` | nobody |"), "{shown}");
        assert_eq!(shown_in(&shown, &table).as_deref(), Some(shown.as_str()));
        assert!(shown_in("no marks", &table).is_none());
    }
}
