//! Code that the other rules would not see: files that no `mod` leads to, and names that come by ways not followed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::table::Crate;
use super::tree::Tree;

/// What of a crate, whose modules are `trees`, is not seen.
pub fn findings(root: &Path, one: &Crate, trees: &[Tree]) -> Result<Vec<String>> {
    let mut findings = BTreeSet::new();
    let mut reached = BTreeSet::new();
    for file in trees.iter().flat_map(|tree| &tree.files) {
        let shown = file.path.display();
        // A path may have `..` in it.
        let real = root.join(&file.path).canonicalize().with_context(|| format!("cannot find {shown}"))?;
        reached.insert(real);
        findings.extend(file.source.unseen.iter().map(|(line, why)| format!("{shown}:{line}: {why}")));
        // What macros make names the crate as its users do.
        let others = file.source.own_names.iter().filter(|(_, name)| *name != one.name);
        findings.extend(others.map(|(line, name)| {
            format!(
                "{shown}:{line}: `{name}` is another name of the crate itself; take it out and begin paths with `crate`"
            )
        }));
    }
    for folder in ["src", "tests", "benches"] {
        let mut files = Vec::new();
        rust_files(root, &Path::new(&one.folder).join(folder), &mut files)?;
        for file in files {
            let shown = file.display();
            let real = root.join(&file).canonicalize().with_context(|| format!("cannot find {shown}"))?;
            if !reached.contains(&real) {
                findings.insert(format!(
                    "{shown}: it is reached by no `mod` that tidy can follow; declare it by a plain `mod`"
                ));
            }
        }
    }
    Ok(findings.into_iter().collect())
}

/// The Rust files below a folder, if there is one.
fn rust_files(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !root.join(folder).is_dir() {
        return Ok(());
    }
    let cannot = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(root.join(folder)).with_context(cannot)? {
        let path = folder.join(entry.with_context(cannot)?.file_name());
        if path.ends_with("tests/ui") {
            // Programs that tests hand to the compiler, to see them refused.
            continue;
        }
        if root.join(&path).is_dir() {
            rust_files(root, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
