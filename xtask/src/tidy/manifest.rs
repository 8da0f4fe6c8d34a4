//! The dependencies that a `Cargo.toml` names, by package and by the name that the code has for it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use toml::de::{DeTable, DeValue};

/// A dependency, with `_` for `-` in its names.
#[derive(Debug)]
pub struct Dependency {
    /// What the code calls it.
    pub name: String,
    pub package: String,
    /// Counted from one.
    pub line: usize,
}

/// The dependencies of the crate in `folder`, a path below `root`, in all sections and for all platforms.
pub fn dependencies(root: &Path, folder: &Path) -> Result<Vec<Dependency>> {
    let renamed = renamed_in_workspace(root, folder)?;
    let mut found = Vec::new();
    with_manifest(root, folder, |text, manifest| {
        let platforms = table(manifest, "target").into_iter().flat_map(|target| target.values());
        let platforms = platforms.filter_map(|platform| platform.get_ref().as_table());
        for section in std::iter::once(manifest).chain(platforms) {
            for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
                collect(text, table(section, kind), &renamed, &mut found);
            }
        }
    })?;
    Ok(found)
}

/// What the workspace of the crate in `folder` says of dependencies that its crates take from it.
fn renamed_in_workspace(root: &Path, folder: &Path) -> Result<Vec<Dependency>> {
    for folder in folder.ancestors().filter(|folder| root.join(folder).join("Cargo.toml").is_file()) {
        let mut found = None;
        with_manifest(root, folder, |text, manifest| {
            if let Some(workspace) = table(manifest, "workspace") {
                let mut all = Vec::new();
                collect(text, table(workspace, "dependencies"), &[], &mut all);
                found = Some(all);
            }
        })?;
        if let Some(found) = found {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

fn with_manifest(root: &Path, folder: &Path, read: impl FnOnce(&str, &DeTable<'_>)) -> Result<()> {
    let path = folder.join("Cargo.toml");
    let text =
        fs::read_to_string(root.join(&path)).with_context(|| format!("cannot read {}", path.display()))?;
    let manifest = DeTable::parse(&text)
        .map_err(|error| anyhow!("{error}"))
        .with_context(|| format!("cannot make sense of {}", path.display()))?;
    read(&text, manifest.get_ref());
    Ok(())
}

fn table<'a, 'b>(outer: &'a DeTable<'b>, name: &str) -> Option<&'a DeTable<'b>> {
    outer.get(name)?.get_ref().as_table()
}

/// Adds the dependencies of one section.
fn collect(
    text: &str,
    section: Option<&DeTable<'_>>,
    of_workspace: &[Dependency],
    found: &mut Vec<Dependency>,
) {
    for (key, value) in section.into_iter().flatten() {
        let name = key.get_ref().replace('-', "_");
        let says =
            |what: &str| value.get_ref().as_table().and_then(|table| table.get(what)).map(|it| it.get_ref());
        let inherited = of_workspace
            .iter()
            .find(|other| matches!(says("workspace"), Some(DeValue::Boolean(true))) && other.name == name);
        let package = match says("package").and_then(DeValue::as_str) {
            Some(package) => package.replace('-', "_"),
            None => inherited.map_or_else(|| name.clone(), |other| other.package.clone()),
        };
        let line = text[..key.span().start].matches('\n').count() + 1;
        found.push(Dependency { name, package, line });
    }
}
