//! `cargo relib new`: makes a project from one of the folders of `templates`.
//!
//! A template is written as the project `my-app`; making one is replacing that name, and the relib that it depends on.
//! Its manifests are called `Cargo.toml.in`, because cargo leaves folders with a `Cargo.toml` out of packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use include_dir::{Dir, DirEntry, include_dir};

use crate::console::{GOOD, NAME, status, styled};

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// The crates of relib that projects depend on, as templates refer to them, with their folders in a checkout.
const CRATES: [(&str, &str); 3] =
    [("@relib@", "relib/host"), ("@relib_module@", "relib/module"), ("@relib_interface@", "relib/interface")];

#[derive(clap::Args)]
pub struct Arguments {
    /// The folder to make; its name is the name of the project
    #[arg(value_name = "NAME")]
    path: PathBuf,
    /// What to start with
    #[arg(long, value_enum, default_value_t)]
    template: Template,
    /// Depend on a checkout of relib's repository, and not on the published crates
    #[arg(long, value_name = "DIR")]
    relib_path: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Template {
    /// A module with one function, and a host that calls it every second
    #[default]
    Minimal,
    /// State that the host owns and the module changes, and that outlives each build
    State,
    /// A module that runs tasks of its own in the background and ends them when it is unloaded
    Async,
}

impl Template {
    fn folder(self) -> &'static str {
        match self {
            Template::Minimal => "minimal",
            Template::State => "state",
            Template::Async => "async",
        }
    }
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let path = &arguments.path;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if let Some(problem) = problem_with(name) {
        bail!("`{name}` cannot be the name of a project: {problem}");
    }
    if path.read_dir().is_ok_and(|mut entries| entries.next().is_some()) || path.is_file() {
        bail!("{} exists already; choose another name, or remove it", path.display());
    }
    let mut replacements = vec![("my-app", name.to_owned()), ("my_app", name.replace('-', "_"))];
    for (placeholder, folder) in CRATES {
        replacements.push((placeholder, dependency(folder, arguments.relib_path.as_deref())?));
    }
    let template = TEMPLATES.get_dir(arguments.template.folder()).expect("each template has a folder");
    write(template, template.path(), path, &replacements)?;
    status(GOOD, "Created", format_args!("project `{name}` in {}", path.display()));
    anstream::eprintln!(
        "\nNow run {} and edit {}.",
        styled(NAME, format_args!("cd {} && cargo relib dev", path.display())),
        styled(NAME, "module/src/lib.rs")
    );
    Ok(ExitCode::SUCCESS)
}

/// Why cargo would refuse packages that are named after the project.
fn problem_with(name: &str) -> Option<&'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        Some("it must start with a letter")
    } else if !name.chars().all(is_plain) {
        Some("it may have letters, digits, `-` and `_` only")
    } else {
        None
    }
}

/// The right-hand side of a dependency in a manifest.
fn dependency(folder: &str, checkout: Option<&Path>) -> Result<String> {
    let Some(checkout) = checkout else {
        return Ok(format!("{:?}", env!("CARGO_PKG_VERSION")));
    };
    let path = checkout.join(folder);
    let path = path
        .canonicalize()
        .with_context(|| format!("{} is no checkout of relib: it has no {folder}", checkout.display()))?;
    Ok(format!("{{ path = {:?} }}", path.display().to_string()))
}

/// Writes a folder of a template, with everything in it.
fn write(folder: &Dir<'_>, template: &Path, project: &Path, replacements: &[(&str, String)]) -> Result<()> {
    for entry in folder.entries() {
        let file = match entry {
            DirEntry::Dir(folder) => {
                write(folder, template, project, replacements)?;
                continue;
            }
            DirEntry::File(file) => file,
        };
        let inside = file.path().strip_prefix(template).expect("a template's files are in its folder");
        let name = inside.to_str().expect("the files of templates have plain names");
        // A dot or a manifest's name would have a meaning where the template itself lies.
        let name = name.replace("Cargo.toml.in", "Cargo.toml").replace("gitignore.in", ".gitignore");
        let mut text = file.contents_utf8().expect("templates are text").to_owned();
        for (placeholder, value) in replacements {
            text = text.replace(placeholder, value);
        }
        let to = project.join(name);
        let parent = to.parent().expect("a file of a project is in a folder");
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cargo_refuses_are_refused() {
        assert_eq!(problem_with("my-game_2"), None);
        for name in ["", "2d", "-x", "a b", "ü", "a.b"] {
            assert!(problem_with(name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn each_template_is_there() {
        for template in Template::value_variants() {
            let folder = TEMPLATES.get_dir(template.folder()).unwrap();
            assert!(folder.get_file(format!("{}/Cargo.toml.in", template.folder())).is_some());
        }
    }
}
