//! `cargo relib check` finds each misdeed of the fixture `misbehaves`, and nothing where there is none.

use serde_json::Value;

use crate::support::{cargo_relib, fixture, printed};

/// Checks the fixture with a misdeed: exit code and verdict.
fn check(misdeed: &str, arguments: &[&str]) -> (i32, Value) {
    let mut command = cargo_relib();
    command
        .arg("check")
        .arg(fixture("misbehaves"))
        .args(["--message-format", "json", "--cycles", "40"])
        .args(arguments)
        .env("MISDEED", misdeed);
    let output = command.output().unwrap();
    let verdict = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), verdict)
}

/// The kinds of all findings.
fn kinds(verdict: &Value) -> Vec<&str> {
    let findings = verdict["findings"].as_array().unwrap();
    findings.iter().map(|finding| finding["kind"].as_str().unwrap()).collect()
}

/// The fixture is not safe with this misdeed, for this reason only.
#[track_caller]
fn assert_unsafe(misdeed: &str, arguments: &[&str], kind: &str, message: &str) -> Value {
    let (code, verdict) = check(misdeed, arguments);
    assert_eq!(code, 1, "{verdict:#}");
    assert_eq!(verdict["safe"], false);
    assert_eq!(kinds(&verdict), [kind], "{verdict:#}");
    let found = verdict["findings"][0]["message"].as_str().unwrap();
    assert!(found.contains(message), "{found}");
    verdict
}

#[track_caller]
fn assert_safe(misdeed: &str, notes: &[&str]) -> Value {
    let (code, verdict) = check(misdeed, &[]);
    assert_eq!(code, 0, "{verdict:#}");
    assert_eq!(verdict["safe"], true);
    assert_eq!(kinds(&verdict), notes, "{verdict:#}");
    assert_eq!(verdict["processes"].as_array().unwrap().len(), 4);
    verdict
}

#[test]
fn a_module_that_leaves_nothing_is_safe() {
    let verdict = assert_safe("", &[]);
    assert_eq!(verdict["processes"][0]["cycles"], 40);
    assert_eq!(verdict["main_called"], true);
}

#[test]
fn what_relib_reclaims_is_no_leak() {
    let verdict = assert_safe("rust-leak", &[]);
    let reclaimed = verdict["processes"][0]["reclaimed"]["memory_bytes"].as_u64().unwrap();
    assert!(reclaimed >= 64 << 10, "{reclaimed}");
}

#[test]
fn a_panic_of_main_is_a_note() {
    let verdict = assert_safe("panic", &["main-panicked"]);
    assert!(verdict["findings"][0]["message"].as_str().unwrap().contains("as asked for"));
}

#[test]
fn an_import_that_main_calls_is_named() {
    let verdict = assert_safe("import", &["import-called"]);
    let message = verdict["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains("import `fixture_interface::panics::Host::fail` is not connected"), "{message}");
}

#[test]
fn a_host_is_told_that_it_has_to_release_threads() {
    let verdict = assert_safe("thread-local", &["threads-to-release"]);
    let message = verdict["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains("call Module::release_thread on each"), "{message}");
}

#[test]
fn files_left_are_a_note() {
    let verdict = assert_safe("temporary-file", &["files-left"]);
    assert!(verdict["findings"][0]["message"].as_str().unwrap().contains("left.txt"));
}

#[test]
fn a_thread_left_is_named() {
    assert_unsafe("thread", &[], "threads-running", "`left-behind`");
}

#[test]
fn a_signal_handler_is_named() {
    assert_unsafe("signal-handler", &[], "signal-handlers", "SIGUSR1");
}

#[test]
fn descriptors_left_open_are_named() {
    assert_unsafe("descriptor", &[], "leaked-descriptors", "/dev/null");
}

#[test]
fn memory_of_c_code_is_found_and_what_mends_it() {
    let verdict = assert_unsafe("c-leak", &[], "leaked-memory", "MiB more");
    let advice = verdict["findings"][0]["advice"].as_str().unwrap();
    assert!(advice.contains("reclaim_c_allocations, tried here, nothing remains"), "{advice}");
}

#[test]
fn a_crash_is_told_with_its_place() {
    assert_unsafe("crash", &[], "crash", "SIGSEGV while `main` was running, in cycle 1");
}

#[test]
fn a_crash_after_the_last_unload_is_told() {
    assert_unsafe("at-exit", &[], "crash", "when the process ended, after the last unload");
}

#[test]
fn a_module_that_ends_the_process_is_not_safe() {
    assert_unsafe("exit", &[], "process-ended", "exit code 3 while `main` was running");
}

#[test]
fn a_main_that_does_not_return_is_stopped() {
    assert_unsafe("hang", &["--time-limit", "3"], "time-limit", "after 3 s, while `main` was running");
    let (code, verdict) = check("hang", &["--no-main"]);
    assert_eq!((code, &verdict["main_called"]), (0, &Value::Bool(false)), "{verdict:#}");
}

#[test]
fn processes_left_are_named() {
    assert_unsafe("process", &[], "processes-left", "sleep");
}

#[test]
fn people_get_a_verdict_a_reason_and_what_to_do() {
    let mut command = cargo_relib();
    command.arg("check").arg(fixture("misbehaves")).args(["--cycles", "5"]).env("MISDEED", "thread");
    let text = printed(&mut command);
    assert!(text.contains("5 cycles: load, main, unload on one thread: not ok"), "{text}");
    assert!(text.contains("stop and join its threads"), "{text}");
    assert!(text.ends_with("not safe to reload: its threads go on running\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "colours are for terminals only: {text:?}");
}

#[test]
fn a_file_that_is_no_module_is_an_error() {
    let output = cargo_relib().args(["check", "Cargo.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("not a dynamic library but a text file"), "{error}");
}
