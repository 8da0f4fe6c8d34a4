//! Copies of fixtures that a scenario may change and build, as an author of a module does.
//!
//! Tests never edit tracked files: a copy lies in the scratch directory of the run. Its dependencies are built in a target
//! directory that all runs of the same project share, so that a build takes about a second.

use std::fs;
use std::path::{Path, PathBuf};

use relib_harness::cargo::{self, BuildError};
use relib_harness::fixtures::FIXTURES_DIR;
use relib_harness::{Failure, Profile, Run};

use crate::root;

/// A copy of one fixture and of the crate with its interface.
pub struct Project {
    directory: PathBuf,
    name: String,
    profile: Profile,
}

impl Project {
    /// Copies a fixture. The copy's package is called `name`, which no two scenarios may have in common: it names the
    /// target directory too.
    ///
    /// # Errors
    /// When a file cannot be copied.
    pub fn copy(run: &Run, fixture: &str, name: &str) -> Result<Project, Failure> {
        let fixtures = root().join(FIXTURES_DIR);
        let directory = run.scratch_dir().join("project");
        for member in ["interface", fixture] {
            let to = directory.join(member);
            fs::create_dir_all(to.join("src"))?;
            fs::copy(fixtures.join(member).join("Cargo.toml"), to.join("Cargo.toml"))?;
            for entry in fs::read_dir(fixtures.join(member).join("src"))? {
                let entry = entry?;
                fs::copy(entry.path(), to.join("src").join(entry.file_name()))?;
            }
        }
        fs::rename(directory.join(fixture), directory.join("module"))?;
        fs::copy(fixtures.join("Cargo.lock"), directory.join("Cargo.lock"))?;
        fs::copy(fixtures.join("Cargo.toml"), directory.join("Cargo.toml"))?;
        let project = Project { directory, name: name.to_owned(), profile: run.profile() };
        project.edit("Cargo.toml", "\"../relib/", &format!("\"{}/relib/", root().display()))?;
        project.edit("module/Cargo.toml", &format!("\"{fixture}\""), &format!("\"{name}\""))?;
        Ok(project)
    }

    /// Replaces a text in a file of the copy.
    ///
    /// # Errors
    /// When the file does not hold the text.
    pub fn edit(&self, file: &str, from: &str, to: &str) -> Result<(), Failure> {
        let path = self.directory.join(file);
        let text = fs::read_to_string(&path)?;
        if !text.contains(from) {
            return Err(Failure::new(format!("{file} does not hold {from:?}")));
        }
        Ok(fs::write(path, text.replace(from, to))?)
    }

    /// Builds the copy, and returns the library.
    ///
    /// # Errors
    /// When it does not compile.
    pub fn build(&self) -> Result<PathBuf, BuildError> {
        let mut build = escargot::CargoBuild::new()
            .manifest_path(self.directory.join("Cargo.toml"))
            // One for each project: cargo tells copies of a workspace apart by paths inside it only, so that two builds
            // at once would take each other's interface crate for their own.
            .target_dir(root().join("target").join("reload").join(&self.name))
            .package(&self.name)
            .arg("--offline");
        if self.profile == Profile::Release {
            build = build.release();
        }
        let library = cargo::run(build)?.into_iter().find_map(|artefact| artefact.cdylib);
        Ok(library.expect("a package with a cdylib makes one"))
    }

    /// Builds the copy and puts the library at `place`, in the place of what is there, as `cargo build` does.
    ///
    /// # Errors
    /// When it does not compile or cannot be copied.
    pub fn build_to(&self, place: &Path) -> Result<(), Failure> {
        let library = fs::read(self.build()?)?;
        replace(place, &library)
    }
}

/// Puts a new file where another may be.
///
/// # Errors
/// When the file cannot be written.
pub fn replace(place: &Path, contents: &[u8]) -> Result<(), Failure> {
    if place.exists() {
        fs::remove_file(place)?;
    }
    Ok(fs::write(place, contents)?)
}
