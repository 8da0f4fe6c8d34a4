//! `cargo relib new` makes projects that are complete and in good order, and shells can complete the command line.

use std::fs;

use crate::support::{Project, cargo_relib, printed};

/// What it makes compiles without a warning, is formatted, and has nothing left of the template.
fn assert_in_order(project: &Project) {
    for folder in ["host", "module", "shared"] {
        let manifest = fs::read_to_string(project.root().join(folder).join("Cargo.toml")).unwrap();
        assert!(!manifest.contains("my-app") && !manifest.contains('@'), "{manifest}");
    }
    let readme = fs::read_to_string(project.root().join("README.md")).unwrap();
    assert!(!readme.contains("my-app") && !readme.contains("my_app"), "{readme}");
    assert!(project.root().join(".gitignore").exists());
    project.cargo(&["fmt", "--all", "--check"]).assert().success();
    project.cargo(&["clippy", "--workspace", "--quiet", "--", "-D", "warnings"]).assert().success();
}

#[test]
fn minimal_is_in_order() {
    assert_in_order(&Project::new("order-minimal", "minimal"));
}

#[test]
fn state_is_in_order() {
    assert_in_order(&Project::new("order-state", "state"));
}

#[test]
fn async_is_in_order() {
    assert_in_order(&Project::new("order-async", "async"));
}

#[test]
fn published_crates_are_the_default() {
    let directory = tempfile::tempdir().unwrap();
    cargo_relib().args(["new", "plain"]).current_dir(directory.path()).assert().success();
    let manifest = fs::read_to_string(directory.path().join("plain/Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("\nrelib = \"{}\"\n", env!("CARGO_PKG_VERSION"))), "{manifest}");
}

#[test]
fn nothing_is_overwritten_and_names_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("there")).unwrap();
    fs::write(directory.path().join("there/file"), "").unwrap();
    for (name, message) in [("there", "there exists already"), ("2d", "must start with a letter")] {
        let output = cargo_relib().args(["new", name]).current_dir(directory.path()).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_checkout_that_is_none_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = cargo_relib();
    command.args(["new", "x", "--relib-path", "."]).current_dir(directory.path());
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("no checkout of relib"), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn shells_complete_the_subcommands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(cargo_relib().args(["completions", shell]));
        for word in ["inspect", "check", "message-format"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
        assert!(!script.contains("check-worker"), "{shell} knows what is for the program itself");
    }
}
