//! What the tests share: the program, projects that it made, and fixtures.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use assert_cmd::Command;
use tempfile::TempDir;

/// The root of the repository.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> =
        LazyLock::new(|| relib_harness::checkout::root().expect("cargo runs the tests in a checkout"));
    &ROOT
}

/// Where the projects that tests make are built. Their dependencies are built once for all.
pub fn target_directory() -> PathBuf {
    root().join("target/cli-projects")
}

/// `cargo-relib relib`, as cargo starts it.
pub fn cargo_relib() -> Command {
    let mut command = Command::cargo_bin("cargo-relib").expect("the program is built with its tests");
    command.arg("relib").env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

/// What a command has printed to standard output.
pub fn printed(command: &mut Command) -> String {
    let output = command.output().expect("the program can be run");
    String::from_utf8(output.stdout).expect("it prints text")
}

/// The library of a fixture of `test-modules`.
pub fn fixture(name: &str) -> PathBuf {
    let manifest = root().join("test-modules/Cargo.toml");
    let build = escargot::CargoBuild::new()
        .manifest_path(&manifest)
        .package(name)
        .target_dir(root().join("target/fixtures"));
    let artefacts = relib_harness::cargo::run(build).unwrap_or_else(|error| panic!("{name}: {error}"));
    let manifest = root().join("test-modules").join(name).join("Cargo.toml");
    artefacts
        .into_iter()
        .find(|artefact| artefact.manifest == manifest)
        .and_then(|artefact| artefact.cdylib)
        .unwrap_or_else(|| panic!("{name} has no library"))
}

/// A project in a directory of its own, made by `cargo relib new`.
pub struct Project {
    directory: TempDir,
    name: String,
}

impl Project {
    /// No two tests may make projects of the same name: cargo tells the packages of two workspaces apart by their names
    /// only, when both are built into one target directory.
    pub fn new(name: &str, template: &str) -> Project {
        let project = Project { directory: tempfile::tempdir().unwrap(), name: name.to_owned() };
        cargo_relib()
            .arg("new")
            .arg(project.root())
            .args(["--template", template])
            .arg("--relib-path")
            .arg(root())
            .assert()
            .success();
        // The versions that everything else here is built with, so that little has to be fetched.
        fs::copy(root().join("test-modules/Cargo.lock"), project.root().join("Cargo.lock")).unwrap();
        project
    }

    pub fn root(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(&self.name)
    }

    /// Replaces a text in a file.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.root().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} does not hold {from:?}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Runs cargo in the project.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO"));
        command.args(arguments).current_dir(self.root()).env("CARGO_TARGET_DIR", target_directory());
        command
    }

    pub fn program(&self) -> PathBuf {
        target_directory().join(format!("debug/{}-host", self.name))
    }

    pub fn module(&self) -> PathBuf {
        target_directory().join(format!("debug/lib{}_module.so", self.name.replace('-', "_")))
    }
}
