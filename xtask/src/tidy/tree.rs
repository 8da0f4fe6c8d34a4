//! The modules of one crate, and which file a path of one of them leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::source::{Import, Reference, Source};

/// A source file with its place in the crate.
#[derive(Debug)]
pub struct File {
    /// Below the root.
    pub path: PathBuf,
    /// The path of its module, without `crate`.
    pub module: Vec<String>,
    pub source: Source,
}

/// The modules that are declared from one file on, in whatever configuration.
#[derive(Debug)]
pub struct Tree {
    /// The first is the one that the others are declared from.
    pub files: Vec<File>,
    /// By the paths of their modules: several if a module has a file for each platform.
    modules: BTreeMap<Vec<String>, Vec<usize>>,
}

impl Tree {
    /// Reads what is declared from `first` on, a path below `root`.
    pub fn read(root: &Path, first: &Path) -> Result<Self> {
        let mut tree = Self { files: Vec::new(), modules: BTreeMap::new() };
        let folder = first.parent().unwrap_or(first).to_owned();
        tree.add(root, first, Vec::new(), &folder)?;
        Ok(tree)
    }

    /// Adds a file and those of the modules that it declares, which are looked for in `folder`.
    fn add(&mut self, root: &Path, path: &Path, module: Vec<String>, folder: &Path) -> Result<()> {
        let text =
            fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {}", path.display()))?;
        let source = Source::parse(path, &text)?;
        let mut declared = Vec::new();
        for declaration in &source.declarations {
            let mut module = module.clone();
            module.extend_from_slice(&declaration.inside);
            module.push(declaration.name.clone());
            let inside = declaration.inside.iter().fold(folder.to_owned(), |folder, name| folder.join(name));
            let own = inside.join(&declaration.name);
            let (file, folder) = match &declaration.path {
                Some(file) => {
                    let beside = path.parent().unwrap_or(path);
                    let file = if declaration.inside.is_empty() { beside } else { &inside }.join(file);
                    // As for a `mod.rs`, what it declares stands beside it.
                    let folder = file.parent().unwrap_or(&file).to_owned();
                    (file, folder)
                }
                None if root.join(own.with_extension("rs")).is_file() => (own.with_extension("rs"), own),
                None => (own.join("mod.rs"), own),
            };
            // What a build script makes is not there.
            if root.join(&file).is_file() {
                declared.push((file, module, folder));
            }
        }
        self.modules.entry(module.clone()).or_default().push(self.files.len());
        self.files.push(File { path: path.to_owned(), module, source });
        for (file, module, folder) in declared {
            self.add(root, &file, module, &folder)?;
        }
        Ok(())
    }

    /// The path of a reference from the crate's first module on; `None` if it leads to another crate, or to what the
    /// module has got by an import.
    pub fn absolute(&self, file: usize, reference: &Reference, own_name: &str) -> Option<Vec<String>> {
        let file = &self.files[file];
        let own = || file.module.iter().chain(&reference.inside).cloned().collect::<Vec<_>>();
        let mut names = reference.path.iter().peekable();
        let mut absolute = match reference.path[0].as_str() {
            "self" | "super" => {
                let mut module = own();
                while let Some(step) = names.next_if(|name| *name == "self" || *name == "super") {
                    if step == "super" {
                        module.pop()?;
                    }
                }
                module
            }
            name if name == "crate" || name == own_name => {
                names.next();
                Vec::new()
            }
            name if file.source.declares(&reference.inside, name) => own(),
            _ => return None,
        };
        absolute.extend(names.cloned());
        Some(absolute)
    }

    /// Whether there is a module of this path.
    pub fn is_module(&self, path: &[String]) -> bool {
        self.modules.contains_key(path)
    }

    /// Whether a module passes something of this name on.
    pub fn passes_on(&self, module: &[String], name: &str) -> bool {
        let files = self.modules.get(module).into_iter().flatten();
        files
            .flat_map(|file| &self.files[*file].source.imports)
            .any(|import| import.reference.is_passed_on && import.name == name)
    }

    /// The file that defines what an absolute path leads to, also through modules that pass it on.
    pub fn target(&self, from: usize, path: &[String], own_name: &str) -> Option<usize> {
        self.resolve(from, path, own_name, &mut BTreeSet::new())
    }

    fn resolve(
        &self,
        from: usize,
        path: &[String],
        own_name: &str,
        seen: &mut BTreeSet<Vec<String>>,
    ) -> Option<usize> {
        if !seen.insert(path.to_vec()) {
            return None;
        }
        let len = (0..=path.len()).rev().find(|len| self.is_module(&path[..*len]))?;
        let file = self.nearest(from, &path[..len])?;
        // An import of everything is one of the file itself.
        let Some(name) = path.get(len).filter(|name| *name != "*") else { return Some(file) };
        let source = &self.files[file].source;
        if source.items.contains(name) {
            return Some(file);
        }
        let mut follow = |import: &Import, rest: &[String]| {
            let mut path = self.absolute(file, &import.reference, own_name)?;
            path.retain(|name| name != "*");
            path.extend_from_slice(rest);
            self.resolve(file, &path, own_name, seen)
        };
        if let Some(import) = source.imports.iter().find(|import| import.name == *name) {
            // What comes from another crate is as good as defined here.
            return follow(import, &path[len + 1..]).or(Some(file));
        }
        let passed_on =
            source.imports.iter().filter(|import| import.name == "*" && import.reference.is_passed_on);
        for import in passed_on {
            if let Some(found) = follow(import, &path[len..])
                && self.files[found].source.items.contains(name)
            {
                return Some(found);
            }
        }
        Some(file)
    }

    /// Of the files of a module the one that has most of its path in common with another file.
    fn nearest(&self, from: usize, module: &[String]) -> Option<usize> {
        let common = |file: &usize| {
            let parts = |file: usize| self.files[file].path.components();
            parts(*file).zip(parts(from)).take_while(|(a, b)| a == b).count()
        };
        self.modules.get(module)?.iter().copied().max_by_key(common)
    }
}
