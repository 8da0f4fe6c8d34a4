//! Every way a scenario can end is reported as exactly that, also when all of them run at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

use relib_harness::fixtures::Fixtures;
use relib_harness::matrix::{Job, Matrix};
use relib_harness::process::{self, Finished, Runner};
use relib_harness::snapshot::{Snapshots, Verdict};
use relib_harness::{Platform, Profile, ScenarioInfo};

const EXECUTABLE: &str = env!("CARGO_BIN_EXE_relib-selftest-runner");

/// Every scenario of the self-test runner and the class it ends in.
const CLASSES: &[(&str, &str)] = &[
    ("self-clean", "ok"),
    ("self-clean-busy", "ok"),
    ("self-fails", "failed"),
    ("self-panics", "panicked"),
    ("self-panics-elsewhere", "ok"),
    ("self-segfaults", "signal"),
    ("self-aborts", "abort"),
    ("self-aborts-at-exit", "abort"),
    ("self-exits", "exited"),
    ("self-exits-early-as-if-ok", "exited"),
    ("self-hangs", "timeout"),
    ("self-eats-memory", "abort"),
    ("self-leaks-heap", "leak"),
    ("self-leaks-descriptor", "leak"),
    ("self-leaks-thread", "leak"),
    ("self-leaks-key", "leak"),
    ("self-leaves-file", "leak"),
    ("self-without-baseline", "failed"),
    ("self-leaves-on-purpose", "ok"),
    ("self-leaves-process", "leak"),
    ("self-leaves-daemon", "leak"),
    ("self-leaves-scratch-file", "ok"),
    ("self-missing-fixture", "panicked"),
    ("self-prints-paths", "ok"),
    ("self-limited", "failed"),
    ("self-worse-than-declared", "abort"),
    ("self-debug-only", "ok"),
];

fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| relib_harness::checkout::root().unwrap());
    &ROOT
}

fn scenarios() -> Vec<ScenarioInfo> {
    let output = Command::new(EXECUTABLE).arg("list").output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A runner over no fixtures, with the directory its manifest lies in.
fn runner() -> (tempfile::TempDir, Runner) {
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("manifest.json");
    Fixtures::none(Profile::current()).save(&manifest).unwrap();
    (
        dir,
        Runner {
            executable: PathBuf::from(EXECUTABLE),
            manifest,
            root: root().to_owned(),
            launcher: None,
            shown_folders: Vec::new(),
            environment: Vec::new(),
        },
    )
}

fn run(id: &str) -> Finished {
    let (_dir, runner) = runner();
    let scenario = scenarios().into_iter().find(|scenario| scenario.id == id).unwrap();
    process::run(&runner, &scenario)
}

fn rendered(id: &str) -> String {
    run(id).outcome.render()
}

#[test]
fn a_clean_scenario_is_ok() {
    assert_eq!(rendered("self-clean"), "outcome: ok\nsum: 3\n");
}

#[test]
fn what_is_given_back_is_no_leak() {
    assert_eq!(rendered("self-clean-busy"), "outcome: ok\n");
}

#[test]
fn a_failure_keeps_its_observations() {
    assert_eq!(
        rendered("self-fails"),
        "outcome: failed\nmessage: answer: found 41, expected 42\nbefore: the failure\n"
    );
}

#[test]
fn a_panic_has_its_message_and_location() {
    let text = rendered("self-panics");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["outcome: panicked", "message: no way"]);
    assert!(lines[2].starts_with("location: harness/src/bin/relib-selftest-runner.rs:"), "{text}");
    assert_eq!(lines[3], "before: the panic");
}

#[test]
fn a_segfault_keeps_what_was_observed_before() {
    assert_eq!(rendered("self-segfaults"), "outcome: signal\nsignal: SIGSEGV\nstderr:\nbefore: the crash\n");
}

#[test]
fn an_abort_has_its_last_words() {
    assert_eq!(rendered("self-aborts"), "outcome: abort\nmessage:\n  some line\n  the reason why\n");
}

#[test]
fn a_crash_after_the_report_counts() {
    assert_eq!(rendered("self-aborts-at-exit"), "outcome: abort\nmessage: late\n");
}

#[test]
fn an_early_exit_is_no_success() {
    assert_eq!(rendered("self-exits"), "outcome: exited\ncode: 3\nstderr: giving up\n");
    assert_eq!(
        rendered("self-exits-early-as-if-ok"),
        "outcome: exited\ncode: 0\nstderr:\nbefore: the exit\n"
    );
}

#[test]
fn a_hang_ends_at_its_limit() {
    let finished = run("self-hangs");
    assert_eq!(finished.outcome.render(), "outcome: timeout\nafter: 1 s\nbefore: the hang\n");
    assert!(finished.took.as_secs() < 10, "took {:?}", finished.took);
}

#[test]
fn memory_above_the_limit_aborts() {
    let text = rendered("self-eats-memory");
    assert!(text.starts_with("outcome: abort\n"), "{text}");
    assert!(text.contains("memory allocation of 33554432 bytes failed"), "{text}");
}

#[test]
fn each_leak_is_named() {
    assert_eq!(rendered("self-leaks-heap"), "outcome: leak\nleak: host heap: about 1 MiB more\n");
    assert_eq!(rendered("self-leaks-descriptor"), "outcome: leak\nleak: descriptor: file /dev/zero\n");
    assert_eq!(rendered("self-leaks-thread"), "outcome: leak\nleak: threads: 1 more (left-alone)\n");
    assert_eq!(rendered("self-leaks-key"), "outcome: leak\nleak: pthread keys: 1 fewer free\n");
    assert_eq!(rendered("self-leaves-file"), "outcome: leak\nleak: file left behind: staged.so\n");
}

#[test]
fn without_a_baseline_there_is_no_success() {
    let text = rendered("self-without-baseline");
    assert!(text.starts_with("outcome: failed\nmessage: no baseline was taken; take one by"), "{text}");
    assert_eq!(rendered("self-leaves-on-purpose"), "outcome: ok\n");
}

#[test]
fn scratch_files_are_nobodys_leak() {
    assert_eq!(rendered("self-leaves-scratch-file"), "outcome: ok\n");
}

#[test]
fn a_grandchild_does_not_survive_and_is_reported() {
    assert_process_ends("self-leaves-process");
}

#[test]
fn a_grandchild_in_another_session_does_not_survive_either() {
    assert_process_ends("self-leaves-daemon");
}

fn assert_process_ends(id: &str) {
    let finished = run(id);
    assert_eq!(
        finished.outcome.render(),
        "outcome: leak\nleak: process left behind: sleep\nprocess: pid <pid>\n"
    );
    let id: u32 = finished.stderr.strip_prefix("grandchild ").unwrap().parse().unwrap();
    let alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // Killed but not reaped yet is as good as gone.
        stat.contains("(sleep)") && !stat.contains(") Z ")
    };
    for _ in 0..100 {
        if !alive() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("process {id} survived");
}

#[test]
fn a_missing_fixture_says_so() {
    assert!(rendered("self-missing-fixture").contains("message: no fixture is called nowhere"));
}

#[test]
fn what_varies_is_redacted() {
    assert_eq!(
        rendered("self-prints-paths"),
        "outcome: ok\ntemp: <temp>/<staged>/libx.so\nscratch: <scratch>/x\naddress: 0x<address>\n\
         source: <root>/harness/src\n"
    );
}

#[test]
fn a_missing_executable_is_an_outcome_too() {
    let (_dir, mut runner) = runner();
    runner.executable = "/nonexistent/runner".into();
    let finished = process::run(&runner, &scenarios()[0]);
    assert_eq!(finished.outcome.ending.class(), "not-run");
}

#[test]
fn a_matrix_of_every_ending_completes_and_reports_each() {
    let (dir, runner) = runner();
    let snapshots = Snapshots::new(dir.path(), Platform::LinuxX86_64);
    let profile = Profile::current();
    snapshots.bless(profile, "self-clean", "outcome: ok\nsum: 4\n").unwrap();
    snapshots.bless(profile, "self-clean-busy", "outcome: ok\n").unwrap();
    snapshots
        .bless(
            profile,
            "self-fails",
            "outcome: failed\nmessage: answer: found 41, expected 42\nbefore: the failure\n",
        )
        .unwrap();
    let mut matrix = Matrix {
        runners: BTreeMap::from([(profile, runner)]),
        platform: Platform::LinuxX86_64,
        snapshots: snapshots.clone(),
        bless: false,
    };
    let jobs: Vec<Job> = scenarios().into_iter().map(|scenario| Job { scenario, profile }).collect();

    let seen = Mutex::new(Vec::new());
    let results = matrix.run(&jobs, 4, &|result| seen.lock().unwrap().push(result.scenario.id.clone()));
    let classes: Vec<(&str, &str)> = results
        .iter()
        .map(|result| (result.scenario.id.as_str(), result.finished.outcome.ending.class()))
        .collect();
    assert_eq!(classes, CLASSES);
    assert_eq!(seen.into_inner().unwrap().len(), CLASSES.len());

    let by_id = |id: &str| results.iter().find(|result| result.scenario.id == id).unwrap();
    assert_eq!(
        by_id("self-clean").verdict,
        Verdict::Different { expected: "outcome: ok\nsum: 4".into(), found: "outcome: ok\nsum: 3".into() }
    );
    assert!(by_id("self-clean-busy").passed());
    assert_eq!(by_id("self-segfaults").verdict, Verdict::New);
    // Accepted, but not declared as a limit.
    assert_eq!(by_id("self-fails").verdict, Verdict::Same);
    assert!(!by_id("self-fails").passed());

    matrix.bless = true;
    let results = matrix.run(&jobs, 4, &|_| {});
    for result in results {
        let declared = result.finished.outcome.is_ok() || result.scenario.id == "self-limited";
        assert_eq!(result.passed(), declared, "{}", result.scenario.id);
    }
    // A failure that nobody explains is never accepted, nor one of another kind than the explained one.
    assert_eq!(snapshots.read(profile, "self-worse-than-declared").unwrap(), None);
    assert_eq!(snapshots.read(profile, "self-segfaults").unwrap(), None);
}

#[test]
fn jobs_are_the_profiles_and_platforms_of_both_sides() {
    let (_dir, runner) = runner();
    let root = tempfile::tempdir().unwrap();
    let matrix = |profiles: &[Profile], platform| Matrix {
        runners: profiles.iter().map(|&profile| (profile, runner.clone())).collect(),
        platform,
        snapshots: Snapshots::new(root.path(), platform),
        bless: false,
    };
    let mut scenario = scenarios().remove(0);
    scenario.platforms = vec![Platform::LinuxX86_64];
    let scenarios = [scenario];
    assert_eq!(matrix(Profile::ALL, Platform::LinuxX86_64).jobs(&scenarios).len(), 2);
    assert_eq!(matrix(&[Profile::Release], Platform::LinuxX86_64).jobs(&scenarios).len(), 1);
    assert_eq!(matrix(Profile::ALL, Platform::WindowsX86_64).jobs(&scenarios).len(), 0);
}
