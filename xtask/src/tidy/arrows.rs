//! Imports against the table of rooms, and files that import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::manifest::{self, Dependency};
use super::source::Import;
use super::table::{Crate, TABLE, Table};
use super::tree::Tree;
use super::unseen;

/// What is wrong with the imports of the tree at `root`.
pub fn findings(root: &Path, table: &Table) -> Result<Vec<String>> {
    let mut findings = missing_crates(root, table)?;
    for one in &table.crates {
        let dependencies = manifest::dependencies(root, Path::new(&one.folder))?;
        findings.extend(manifest_findings(table, one, &dependencies));
        findings.extend(unneeded(one, &dependencies));
        let mut used = Used::default();
        let trees: Vec<Tree> =
            first_files(root, one)?.iter().map(|first| Tree::read(root, first)).collect::<Result<_>>()?;
        findings.extend(unseen::findings(root, one, &trees)?);
        for tree in &trees {
            findings.extend(crate_findings(table, one, &dependencies, tree));
            if !one.rooms.is_empty() && tree.files[0].path.starts_with(Path::new(&one.folder).join("src")) {
                findings.extend(room_findings(one, tree, &mut used));
            }
            if !one.circles {
                findings.extend(circles(one, tree));
            }
        }
        findings.extend(used.findings(one));
    }
    Ok(findings)
}

/// Packages of the workspace that the table does not have.
fn missing_crates(root: &Path, table: &Table) -> Result<Vec<String>> {
    let text = fs::read_to_string(root.join("Cargo.toml")).context("cannot read Cargo.toml")?;
    let manifest: toml::Table = text.parse().context("cannot make sense of Cargo.toml")?;
    let members = manifest.get("workspace").and_then(|workspace| workspace.get("members"));
    let members = members.and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let members = members.iter().filter_map(toml::Value::as_str);
    let unknown = members.filter(|folder| !table.crates.iter().any(|one| one.folder == **folder));
    Ok(unknown.map(|folder| format!("{TABLE}: there is no crate with the folder {folder}; add it")).collect())
}

/// Dependencies on crates of the table that the table does not allow.
fn manifest_findings(table: &Table, one: &Crate, dependencies: &[Dependency]) -> Vec<String> {
    let path = Path::new(&one.folder).join("Cargo.toml");
    let against = dependencies.iter().filter(|dependency| is_against(table, one, &dependency.package));
    against
        .map(|dependency| {
            let rule = rule(&one.name, &dependency.package, &one.uses);
            format!("{}:{}: {rule}", path.display(), dependency.line)
        })
        .collect()
}

/// Arrows of the table to crates that a crate does not depend on.
fn unneeded(one: &Crate, dependencies: &[Dependency]) -> Vec<String> {
    let is_needed = |used: &String| dependencies.iter().any(|dependency| dependency.package == *used);
    let unneeded = one.uses.iter().filter(|used| !is_needed(used));
    unneeded
        .map(|used| format!("{TABLE}: `{}` does not depend on `{used}`; take the arrow out", one.name))
        .collect()
}

fn is_against(table: &Table, one: &Crate, name: &str) -> bool {
    name != one.name
        && table.crates.iter().any(|other| other.name == name)
        && !one.uses.iter().any(|used| used == name)
}

fn rule(name: &str, used: &str, uses: &[String]) -> String {
    let allowed = match uses {
        [] => "nobody".to_owned(),
        uses => uses.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    };
    format!("`{name}` must not use `{used}`; by {TABLE} it may use {allowed}")
}

/// The files from which the modules of a crate, of its programs and of its tests are declared.
fn first_files(root: &Path, one: &Crate) -> Result<Vec<PathBuf>> {
    let folder = PathBuf::from(&one.folder);
    let mut files: Vec<PathBuf> =
        ["src/lib.rs", "src/main.rs", "build.rs"].iter().map(|file| folder.join(file)).collect();
    files.retain(|file| root.join(file).is_file());
    for inner in ["src/bin", "tests", "benches"] {
        let folder = folder.join(inner);
        let Ok(entries) = root.join(&folder).read_dir() else { continue };
        for entry in entries {
            let name = entry.with_context(|| format!("cannot read {}", folder.display()))?.file_name();
            let file = folder.join(&name);
            if file.extension().is_some_and(|extension| extension == "rs") {
                files.push(file);
            } else if root.join(&file).join("main.rs").is_file() {
                files.push(file.join("main.rs"));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Imports of other crates against the table.
fn crate_findings(table: &Table, one: &Crate, dependencies: &[Dependency], tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for file in &tree.files {
        let imports = file.source.imports.iter().map(|import| &import.reference);
        for reference in imports.chain(&file.source.references) {
            let name = &reference.path[0];
            let is_own = file.source.declares(&reference.inside, name);
            let renamed = dependencies.iter().find(|dependency| dependency.name == *name);
            let package = renamed.map_or(name, |dependency| &dependency.package);
            if !is_own && !reference.is_written_for_others && is_against(table, one, package) {
                let rule = rule(&one.name, package, &one.uses);
                findings.push(format!("{}:{}: {rule}", file.path.display(), reference.line));
            }
        }
    }
    findings.dedup();
    findings
}

/// Which rooms there are, and which arrows of the table somebody needs.
#[derive(Default)]
struct Used {
    rooms: BTreeSet<String>,
    arrows: BTreeSet<(String, String)>,
}

impl Used {
    fn findings(&self, one: &Crate) -> Vec<String> {
        let mut findings = Vec::new();
        for room in &one.rooms {
            if !self.rooms.contains(&room.name) {
                findings.push(format!("{TABLE}: {} has no room `{}`; take it out", one.name, room.name));
                continue;
            }
            for used in &room.uses {
                if !self.arrows.contains(&(room.name.clone(), used.clone())) {
                    findings.push(format!(
                        "{TABLE}: `{}` of {} does not use `{used}`; take the arrow out",
                        room.name, one.name
                    ));
                }
            }
        }
        findings
    }
}

/// Imports between the rooms of a crate against the table.
fn room_findings(one: &Crate, tree: &Tree, used: &mut Used) -> Vec<String> {
    let mut findings = Vec::new();
    let face = tree.files[0].path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let room_of = |module: &[String]| match module.first() {
        Some(name) if tree.is_module(&module[..1]) => name.clone(),
        _ => face.clone(),
    };
    for (index, file) in tree.files.iter().enumerate() {
        let shown = file.path.display();
        let name = room_of(&file.module);
        let Some(room) = one.rooms.iter().find(|room| room.name == name) else {
            findings.push(format!("{TABLE}: {} has a room `{name}` that is not in it; add it", one.name));
            continue;
        };
        used.rooms.insert(name.clone());
        // Inside its room a file may open itself to the tests beside it.
        let doors = file
            .source
            .test_doors
            .iter()
            .filter(|door| name != face && !(door.is_for_parent && file.module.len() > 1));
        findings.extend(doors.map(|door| {
            format!(
                "{shown}:{}: `{name}` passes something on for tests only; tests may look inside their own room \
                 only, so move the test there",
                door.line
            )
        }));
        let imports = file.source.imports.iter().map(|import| &import.reference);
        for reference in imports.chain(&file.source.references) {
            let Some(path) = tree.absolute(index, reference, &one.name) else { continue };
            let target = room_of(&path);
            if target == name {
                continue;
            }
            if !room.uses.contains(&target) {
                let rule = rule(&name, &target, &room.uses);
                findings.push(format!("{shown}:{}: {rule}", reference.line));
            } else if (2..=path.len()).any(|len| tree.is_module(&path[..len]))
                && !tree.passes_on(&path[..1], &path[1])
            {
                findings.push(format!(
                    "{shown}:{}: `{name}` reaches into `{target}`: import `{}` from `crate::{target}` itself",
                    reference.line,
                    path.last().map_or("", String::as_str)
                ));
            }
            used.arrows.insert((name.clone(), target));
        }
    }
    findings.dedup();
    findings
}

/// Files that import each other in a circle.
fn circles(one: &Crate, tree: &Tree) -> Vec<String> {
    // For each file those that it imports from, with the lines.
    let mut edges: BTreeMap<usize, BTreeMap<usize, usize>> = BTreeMap::new();
    for (index, file) in tree.files.iter().enumerate() {
        let source = &file.source;
        // What a module only passes on it does not use; of what it has by a `*` nobody can tell, unless it is from a file
        // of its own.
        let is_used = |import: &&Import| {
            let from = import.reference.path.iter().find(|name| *name != "self");
            let is_own = from.is_some_and(|name| source.declares(&[], name));
            !import.reference.is_passed_on
                || source.words.contains(&import.name)
                || (import.name == "*" && !is_own)
        };
        let imports = source.imports.iter().filter(is_used);
        let references = source.references.iter().filter(|reference| !reference.is_passed_on);
        for reference in imports.map(|import| &import.reference).chain(references) {
            let path = tree.absolute(index, reference, &one.name);
            let target = path.and_then(|path| tree.target(index, &path, &one.name));
            if let Some(target) = target.filter(|target| *target != index) {
                edges.entry(index).or_default().entry(target).or_insert(reference.line);
            }
        }
    }
    let mut findings = Vec::new();
    let mut told = BTreeSet::new();
    for start in 0..tree.files.len() {
        let Some(circle) = shortest_circle(&edges, start) else { continue };
        // Each circle is found from each of its files.
        if circle.iter().any(|file| told.contains(file)) {
            continue;
        }
        let steps = circle.iter().zip(circle.iter().cycle().skip(1));
        let steps =
            steps.map(|(from, to)| format!("{}:{}", tree.files[*from].path.display(), edges[from][to]));
        let steps: Vec<_> = steps.collect();
        findings.push(format!(
            "{}: the files import each other in a circle; move what they share below",
            steps.join(" -> ")
        ));
        told.extend(circle);
    }
    findings
}

/// The files of the shortest way from a file back to it.
fn shortest_circle(edges: &BTreeMap<usize, BTreeMap<usize, usize>>, start: usize) -> Option<Vec<usize>> {
    let mut before: BTreeMap<usize, usize> = BTreeMap::new();
    let mut next = std::collections::VecDeque::from([start]);
    while let Some(file) = next.pop_front() {
        for target in edges.get(&file).into_iter().flat_map(BTreeMap::keys) {
            if *target == start {
                let mut circle = vec![file];
                while circle[0] != start {
                    circle.insert(0, before[&circle[0]]);
                }
                return Some(circle);
            }
            if !before.contains_key(target) {
                before.insert(*target, file);
                next.push_back(*target);
            }
        }
    }
    None
}
