//! `cargo xtask` as a user runs it, on a temporary root and with the self-test runner of the harness.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::Command;
use relib_harness::snapshot::Snapshots;
use relib_harness::table::{END, START};
use relib_harness::{Failure, Feature, Platform, Profile, Run, Scenario, ScenarioInfo};

fn xtask() -> Command {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
}

/// What a command printed and how it ended.
struct Output {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The runner whose scenarios end in every possible way; built once, quick, since it does not depend on relib.
fn self_test_runner() -> &'static Path {
    static RUNNER: OnceLock<PathBuf> = OnceLock::new();
    RUNNER.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let build = escargot::CargoBuild::new()
            .manifest_path(root.join("Cargo.toml"))
            .package("relib_harness")
            .bin("relib-selftest-runner");
        let artefacts = relib_harness::cargo::run(build).unwrap();
        artefacts.into_iter().find_map(|artefact| artefact.executable).unwrap()
    })
}

fn test_matrix(root: &Path, arguments: &[&str]) -> Output {
    let mut command = xtask();
    command.arg("test-matrix").arg("--root").arg(root).arg("--runner").arg(self_test_runner());
    run(command.arg("--self-tests").args(arguments))
}

#[test]
fn help_names_the_tasks_and_hides_what_is_for_tests() {
    let help = run(xtask().arg("--help"));
    assert_eq!(help.code, Some(0));
    assert!(help.stdout.contains("test-matrix") && help.stdout.contains("gen-support-table"));
    let help = run(xtask().args(["test-matrix", "--help"]));
    for option in ["--filter", "--profile", "--platform", "--jobs", "--bless", "--format"] {
        assert!(help.stdout.contains(option), "{option}");
    }
    assert!(!help.stdout.contains("--runner"));
}

#[test]
fn a_filter_that_matches_nothing_says_so() {
    let root = tempfile::tempdir().unwrap();
    let output = test_matrix(root.path(), &["--filter", "no-such-thing"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("nothing matched --filter no-such-thing"), "{}", output.stderr);
    assert_eq!(output.stdout, "");
}

#[test]
fn an_unknown_format_is_refused() {
    assert_eq!(run(xtask().args(["test-matrix", "--format", "yaml"])).code, Some(2));
}

#[test]
fn new_then_blessed_then_same_then_changed() {
    let root = tempfile::tempdir().unwrap();
    let arguments = ["--filter", "self-clean", "--profile", "debug"];
    let output = test_matrix(root.path(), &arguments);
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains("ok (new)"), "{}", output.stdout);
    assert_eq!(output.stdout.lines().last(), Some("0 passed, 2 failed"));

    let output = test_matrix(root.path(), &[&arguments[..], &["--bless"]].concat());
    assert_eq!(output.code, Some(0), "{}", output.stdout);
    let output = test_matrix(root.path(), &arguments);
    assert_eq!((output.code, output.stdout.lines().last()), (Some(0), Some("2 passed, 0 failed")));

    let snapshots = Snapshots::new(root.path(), Platform::LinuxX86_64);
    snapshots.bless(Profile::Debug, "self-clean", "outcome: ok\nsum: 4\n").unwrap();
    let output = test_matrix(root.path(), &arguments);
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains("  - sum: 4\n  + sum: 3\n"), "{}", output.stdout);
    assert!(output.stdout.contains("snapshots/linux-x86_64/debug/self-clean.snap"), "{}", output.stdout);
    assert_eq!(output.stdout.lines().last(), Some("1 passed, 1 failed"));
}

#[test]
fn a_failure_is_not_blessed_unless_it_is_declared() {
    let root = tempfile::tempdir().unwrap();
    let output = test_matrix(root.path(), &["--filter", "self-segfaults", "--profile", "debug", "--bless"]);
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains("signal (unexpected)"), "{}", output.stdout);
    assert!(output.stdout.contains("it ended as signal; mend it"), "{}", output.stdout);

    let output = test_matrix(root.path(), &["--filter", "self-limited", "--profile", "debug", "--bless"]);
    assert_eq!((output.code, output.stdout.lines().last()), (Some(0), Some("1 passed, 0 failed")));
}

#[test]
fn a_scenario_that_no_profile_of_the_run_has_is_no_success() {
    let root = tempfile::tempdir().unwrap();
    let output = test_matrix(root.path(), &["--filter", "self-debug-only", "--profile", "release"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""));
}

#[test]
fn the_demo_shows_a_reload() {
    let output = run(xtask().arg("demo"));
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("returned \"welcome back, Barbara"), "{}", output.stdout);
}

#[test]
fn json_is_the_only_thing_on_standard_output() {
    let root = tempfile::tempdir().unwrap();
    let output =
        test_matrix(root.path(), &["--filter", "self-aborts", "--profile", "all", "--format", "json"]);
    assert_eq!(output.code, Some(1));
    let document: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&document["passed"], &document["failed"]), (&0.into(), &4.into()));
    assert_eq!(document["results"][0]["id"], "self-aborts");
    assert_eq!(document["results"][0]["class"], "abort");
    assert_eq!(document["results"][0]["outcome"]["ending"]["message"], "some line\nthe reason why");
    assert_eq!(document["results"][1]["profile"], "release");
}

#[test]
fn junit_has_a_case_for_each_result() {
    let root = tempfile::tempdir().unwrap();
    let output =
        test_matrix(root.path(), &["--filter", "self-fails", "--profile", "debug", "--format", "junit"]);
    assert_eq!(output.code, Some(1));
    let report = quick_junit::Report::deserialize_from_str(&output.stdout).unwrap();
    assert_eq!(report.test_suites[0].name.as_str(), "linux-x86_64/debug");
    assert_eq!(report.test_suites[0].test_cases[0].name.as_str(), "self-fails");
    assert_eq!(report.failures, 1);
}

#[test]
fn scenarios_of_the_harness_are_not_in_the_matrix() {
    let root = tempfile::tempdir().unwrap();
    let mut command = xtask();
    command.arg("test-matrix").arg("--root").arg(root.path()).arg("--runner").arg(self_test_runner());
    let output = run(&mut command);
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""));
    assert!(output.stderr.contains("no scenario runs with this filter, profile"), "{}", output.stderr);
}

/// A root with a README, two scenarios and an accepted outcome for the first.
fn table_root() -> (tempfile::TempDir, PathBuf) {
    fn body(_: &mut Run) -> Result<(), Failure> {
        Ok(())
    }
    let scenarios: Vec<ScenarioInfo> = [
        Scenario::new("leak-forget", Feature::Memory, body),
        Scenario::new("panic-main", Feature::Panics, body),
    ]
    .iter()
    .map(Scenario::info)
    .collect();
    let root = tempfile::tempdir().unwrap();
    let list = root.path().join("scenarios.json");
    fs::write(&list, serde_json::to_vec(&scenarios).unwrap()).unwrap();
    fs::write(root.path().join("README.md"), format!("# relib\n\n{START}\n{END}\n\nmore\n")).unwrap();
    accept(root.path(), "leak-forget");
    (root, list)
}

fn accept(root: &Path, id: &str) {
    for &profile in Profile::ALL {
        Snapshots::new(root, Platform::LinuxX86_64).bless(profile, id, "outcome: ok\n").unwrap();
    }
}

fn gen_support_table(root: &Path, list: &Path, arguments: &[&str]) -> Output {
    let mut command = xtask();
    command.arg("gen-support-table").arg("--root").arg(root).arg("--scenarios").arg(list);
    run(command.args(arguments))
}

#[test]
fn the_table_is_stale_until_it_is_generated() {
    let (root, list) = table_root();
    accept(root.path(), "panic-main");
    let output = gen_support_table(root.path(), &list, &["--check"]);
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("is stale; run cargo xtask gen-support-table"), "{}", output.stderr);

    assert_eq!(gen_support_table(root.path(), &list, &[]).code, Some(0));
    let readme = fs::read_to_string(root.path().join("README.md")).unwrap();
    assert!(
        readme.contains("| Memory deallocation | ✅ 1/1 | — |") && readme.ends_with("\nmore\n"),
        "{readme}"
    );
    let output = gen_support_table(root.path(), &list, &["--check"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_scenario_without_a_snapshot_fails_the_check() {
    let (root, list) = table_root();
    assert_eq!(gen_support_table(root.path(), &list, &[]).code, Some(0));
    let output = gen_support_table(root.path(), &list, &["--check"]);
    assert_eq!(output.code, Some(1));
    assert!(
        output.stderr.contains("debug/panic-main.snap; run cargo xtask test-matrix --bless"),
        "{}",
        output.stderr
    );
    assert!(!output.stderr.contains("stale"), "{}", output.stderr);
}

#[test]
fn a_readme_without_markers_is_an_error_with_its_cause() {
    let (root, list) = table_root();
    fs::write(root.path().join("README.md"), "# relib\n").unwrap();
    let output = gen_support_table(root.path(), &list, &[]);
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.starts_with("error: cannot put the table into"), "{}", output.stderr);
    assert!(output.stderr.contains("caused by: the support table needs the lines"), "{}", output.stderr);
}
