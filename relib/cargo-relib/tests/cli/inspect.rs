//! `cargo relib inspect` reads what files say, and compares a module with a host by their files alone.

use std::fs;

use serde_json::Value;

use crate::support::{Project, cargo_relib, fixture, printed};

#[test]
fn shows_signatures_and_types() {
    let text = printed(cargo_relib().arg("inspect").arg(fixture("calls-structs")));
    for line in [
        "target         x86_64-unknown-linux-gnu\n",
        "panic          unwind\n",
        "structure      ELF, whole\n",
        "\nexports fixture_interface::exports_imports::Structs\n",
        "    fn echo_nothing(value: fixture_interface::exports_imports::Nothing) -> \
         fixture_interface::exports_imports::Nothing\n",
        "    struct fixture_interface::exports_imports::Point { x: f64, y: f64 } // 16 bytes, aligned to 8\n",
        "    struct fixture_interface::exports_imports::Aligned(u8) // 128 bytes, aligned to 128\n",
    ] {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
}

#[test]
fn writes_json() {
    let module = json(cargo_relib().arg("inspect").arg(fixture("misbehaves")));
    assert_eq!(module["main"], "fn main() -> String");
    assert_eq!(module["build"]["panic"], "unwind");
    assert_eq!(module["imports"][0]["functions"][0], "fn fail(message: &str) -> String");
    assert_eq!(module["structure"]["problem"], Value::Null);
}

fn json(command: &mut assert_cmd::Command) -> Value {
    serde_json::from_str(&printed(command.args(["--message-format", "json"]))).unwrap()
}

#[test]
fn broken_files_are_named_errors() {
    let whole = fs::read(fixture("misbehaves")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("module.so");
    for (contents, message) in [
        (&whole[..0], "the file is empty"),
        (&whole[..whole.len() / 2], "it is probably still being written"),
        (b"hello", "not a dynamic library"),
    ] {
        fs::write(&path, contents).unwrap();
        let output = cargo_relib().arg("inspect").arg(&path).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(message), "{message:?} is missing in {error}");
    }
}

#[test]
fn says_whether_a_host_would_load_a_module() {
    let project = Project::new("fits", "minimal");
    project.cargo(&["build"]).assert().success();
    let old_module = project.root().join("old.so");
    fs::copy(project.module(), &old_module).unwrap();
    let compare = |module: &std::path::Path| {
        let mut command = cargo_relib();
        command.arg("inspect").arg(module).arg("--host").arg(project.program());
        command
    };
    compare(&old_module).assert().success();
    let module = json(&mut compare(&old_module));
    assert_eq!(module["host"]["would_load"], true);
    assert_eq!(module["host"]["wants"][0]["functions"][0], "fn greet(tick: u64) -> String");
    assert_eq!(module["host"]["provides"][0]["name"], "fits_shared::Imports");

    // A module of another project implements nothing that this host asks for.
    let other = fixture("misbehaves");
    let module = json(&mut compare(&other));
    assert_eq!(module["host"]["not_implemented"][0], "fits_shared::Exports");
    assert_eq!(module["host"]["would_load"], false, "the host does not provide what the module imports");

    project.edit("shared/src/lib.rs", "fn greet(tick: u64)", "fn greet(tick: u32)");
    project.edit("module/src/lib.rs", "fn greet(tick: u64)", "fn greet(tick: u32)");
    project.edit("host/src/main.rs", "for tick in 1.. {", "for tick in 1u32.. {");
    project.cargo(&["build"]).assert().success();
    compare(&project.module()).assert().success();
    let output = compare(&old_module).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains(
            "the host calls `fn greet(tick: u32) -> String`, the module implements `fn greet(tick: u64) -> String`"
        ),
        "{text}"
    );
}

#[test]
fn a_program_without_relib_is_no_host() {
    let mut command = cargo_relib();
    command.arg("inspect").arg(fixture("misbehaves")).args(["--host", "/bin/ls"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("/bin/ls does not say what it asks of modules"), "{error}");
}
