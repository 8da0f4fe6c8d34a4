//! `cargo relib dev` in a real terminal: sources are edited as an author does, and the running host shows it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use expectrl::process::unix::WaitStatus;
use expectrl::session::OsSession;
use expectrl::{ControlCode, Eof, Expect as _, Session};
use serde_json::Value;

use crate::support::{Project, target_directory};

/// How long the terminal may stay without what is waited for: several builds on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// `cargo relib dev` in a project.
fn command(project: &Project) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("cargo-relib"));
    command.args(["relib", "dev"]).current_dir(project.root()).env("CARGO_TARGET_DIR", target_directory());
    command
}

/// A running `cargo relib dev` with what its terminal shows.
struct Dev {
    terminal: OsSession,
}

impl Dev {
    fn start(project: &Project, arguments: &[&str]) -> Dev {
        let mut command = command(project);
        command.args(arguments);
        let mut terminal = Session::spawn(command).unwrap();
        terminal.set_expect_timeout(Some(LIMIT));
        Dev { terminal }
    }

    /// Waits for the terminal to show a text after what was waited for before.
    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        if let Err(error) = self.terminal.expect(text) {
            let mut rest = [0; 16 << 10];
            let len = self.terminal.try_read(&mut rest).unwrap_or(0);
            panic!("{text:?} was not shown: {error}\n{}", String::from_utf8_lossy(&rest[..len]));
        }
    }

    /// Presses Ctrl-C and waits for the end.
    fn interrupt(mut self) -> WaitStatus {
        self.terminal.send(ControlCode::EndOfText).unwrap();
        self.terminal.expect(Eof).unwrap();
        self.terminal.get_process().wait().unwrap()
    }
}

/// Whether a process runs this program; the file may have been replaced since.
fn is_running(program: &Path) -> bool {
    fs::read_dir("/proc").unwrap().any(|entry| {
        let link = fs::read_link(entry.unwrap().path().join("exe"));
        link.is_ok_and(|link| link.to_string_lossy().starts_with(&*program.to_string_lossy()))
    })
}

#[test]
fn edits_of_the_module_show_in_the_running_host() {
    let project = Project::new("edits", "minimal");
    let mut dev = Dev::start(&project, &[]);
    dev.wait_for("hello for the 3. time");

    project.edit("module/src/lib.rs", "hello for", "good evening for");
    dev.wait_for("module/src/lib.rs");
    dev.wait_for("build 2 is loaded");
    dev.wait_for("good evening for the");

    // A broken edit: the compiler's words are shown, and the host goes on.
    project.edit("module/src/lib.rs", "good evening for", "good \"evening for");
    dev.wait_for("module/src/lib.rs:");
    dev.wait_for("the host goes on with the build that it has");
    dev.wait_for("good evening for the");
    dev.wait_for("good evening for the");
    project.edit("module/src/lib.rs", "good \"evening for", "good morning for");
    dev.wait_for("build 3 is loaded");
    dev.wait_for("good morning for the");

    // A part of the module moves to a file of its own, which then gets another name.
    let sources = project.root().join("module/src");
    fs::write(sources.join("words.rs"), "//! Words.\n\npub const WORD: &str = \"welcome\";\n").unwrap();
    project.edit("module/src/lib.rs", "\n#[relib_module::export]", "\nmod words;\n\n#[relib_module::export]");
    project.edit(
        "module/src/lib.rs",
        "\"good morning for the {tick}. time\"",
        "\"{} {tick} times\", words::WORD",
    );
    dev.wait_for("build 4 is loaded");
    dev.wait_for("welcome ");
    fs::rename(sources.join("words.rs"), sources.join("phrases.rs")).unwrap();
    // Between the two steps the module does not compile, if a build happens to start then.
    project.edit("module/src/lib.rs", "words", "phrases");
    fs::write(sources.join("phrases.rs"), "//! Phrases.\n\npub const WORD: &str = \"renamed\";\n").unwrap();
    dev.wait_for("renamed ");

    // The same host all the time.
    assert!(is_running(&project.program()));
    assert!(matches!(dev.interrupt(), WaitStatus::Exited(_, 130)));
    assert!(!is_running(&project.program()));
}

#[test]
fn a_change_of_the_interface_is_named_and_restarts_the_host() {
    let project = Project::new("interfaces", "minimal");
    let mut dev = Dev::start(&project, &[]);
    dev.wait_for("hello for the 2. time");

    // On one side only: the compiler says what is wrong, and the host goes on.
    project.edit("module/src/lib.rs", "fn greet(tick: u64)", "fn greet(tick: u32)");
    dev.wait_for("method `greet` has an incompatible type for trait");
    dev.wait_for("the host goes on with the build that it has");
    dev.wait_for("hello for the");

    // On all sides: the running host differs from the new module, which is said before the new host is started.
    project.edit("shared/src/lib.rs", "fn greet(tick: u64)", "fn greet(tick: u32)");
    project.edit("host/src/main.rs", "for tick in 1.. {", "for tick in 101u32.. {");
    dev.wait_for("the host calls `fn greet(tick: u64) -> String`, the module implements `fn greet(tick: u32) -> String`");
    dev.wait_for("the host itself has changed");
    dev.wait_for("hello for the 101. time");

    // A host that panics is shown, and comes back with the next build.
    project.edit(
        "host/src/main.rs",
        "for tick in 101u32.. {",
        "for tick in 0u32.. {\n        assert!(tick < 2, \"enough\");",
    );
    dev.wait_for("enough");
    dev.wait_for("the host has ended with exit status: 101");
    project.edit("host/src/main.rs", "assert!(tick < 2, \"enough\");", "");
    dev.wait_for("hello for the 2. time");

    assert!(matches!(dev.interrupt(), WaitStatus::Exited(_, 130)));
    assert!(!is_running(&project.program()));
}

#[test]
fn a_host_that_may_not_be_restarted_refuses_the_module() {
    let project = Project::new("unrestarted", "minimal");
    let mut dev = Dev::start(&project, &["--no-restart"]);
    dev.wait_for("hello for the 2. time");
    for file in ["shared/src/lib.rs", "module/src/lib.rs"] {
        project.edit(file, "fn greet(tick: u64)", "fn greet(tick: u32)");
    }
    project.edit("host/src/main.rs", "for tick in 1.. {", "for tick in 1u32.. {");
    dev.wait_for("the new build is refused");
    dev.wait_for("fn greet(tick: u32)");
    dev.wait_for("start it again to see that");
    dev.wait_for("hello for the");
    assert!(matches!(dev.interrupt(), WaitStatus::Exited(_, 130)));
}

#[test]
fn a_project_that_does_not_compile_starts_when_it_does() {
    let project = Project::new("broken", "minimal");
    project.edit("module/src/lib.rs", "tick: u64", "tick: u6");
    let mut dev = Dev::start(&project, &[]);
    dev.wait_for("cannot find type `u6`");
    dev.wait_for("the errors are shown above");
    project.edit("module/src/lib.rs", "tick: u6", "tick: u64");
    dev.wait_for("hello for the 2. time");
    assert!(matches!(dev.interrupt(), WaitStatus::Exited(_, 130)));
}

#[test]
fn a_module_may_get_another_name() {
    let project = Project::new("named", "minimal");
    let mut dev = Dev::start(&project, &[]);
    dev.wait_for("hello for the 2. time");
    // The host goes on with the file that it knows until it is told of the other.
    project.edit("module/Cargo.toml", "\"named-module\"", "\"renamed-module\"");
    dev.wait_for("librenamed_module.so in");
    dev.wait_for("hello for the");
    project.edit("host/src/main.rs", "named_module", "renamed_module");
    dev.wait_for("the host itself has changed");
    dev.wait_for("hello for the 1. time");
    project.edit("module/src/lib.rs", "hello for", "renamed for");
    dev.wait_for("renamed for the");
    assert!(matches!(dev.interrupt(), WaitStatus::Exited(_, 130)));
}

#[test]
fn state_outlives_the_module_that_made_it() {
    let project = Project::new("stateful", "state");
    let mut dev = Dev::start(&project, &[]);
    dev.wait_for("3 ticks, of which 0 are history");
    project.edit("module/src/lib.rs", "world.ticks += 1;", "world.ticks += 1000;");
    dev.wait_for("build 2 is loaded");
    // A thousand more than it had been: the new build has the state of the old one.
    dev.wait_for("100");
    dev.wait_for(" ticks, of which");
    dev.wait_for("200");
    assert!(matches!(dev.interrupt(), WaitStatus::Exited(_, 130)));
}

#[test]
fn tasks_end_with_their_module_and_start_with_the_next() {
    let project = Project::new("tasks", "async");
    let mut dev = Dev::start(&project, &[]);
    dev.wait_for("task says 3");
    project.edit("module/src/lib.rs", "task says", "new task says");
    dev.wait_for("build 2 is loaded");
    dev.wait_for("new task says 1");
    dev.wait_for("new task says 3");
    assert!(matches!(dev.interrupt(), WaitStatus::Exited(_, 130)));
}

#[test]
fn a_folder_without_a_project_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let output = crate::support::cargo_relib().arg("dev").current_dir(directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("make one by cargo relib new"), "{error}");
}

/// The lines that are read, from another thread.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || BufReader::new(stream).lines().try_for_each(|line| sender.send(line.unwrap())));
    lines
}

#[test]
fn programs_read_what_happens_as_json() {
    let project = Project::new("json", "minimal");
    let mut dev = command(&project)
        .args(["--message-format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (messages, errors) = (lines(dev.stdout.take().unwrap()), lines(dev.stderr.take().unwrap()));
    let wait_for = |reason: &str| -> Value {
        loop {
            let message: Value = serde_json::from_str(&messages.recv_timeout(LIMIT).unwrap()).unwrap();
            if message["reason"] == reason {
                return message;
            }
        }
    };
    let watching = wait_for("relib-watching");
    assert_eq!((&watching["host"], &watching["modules"][0]), (&"json-host".into(), &"json-module".into()));
    assert_eq!(wait_for("relib-host-running")["program"], project.program().to_str().unwrap());
    let mut printed_by_host = errors.iter().filter(|line| line.contains("hello for the 2. time"));
    assert!(printed_by_host.next().is_some());

    project.edit("module/src/lib.rs", "hello for", "good evening for");
    let source = project.root().join("module/src/lib.rs");
    assert_eq!(wait_for("relib-changed")["files"][0], source.to_str().unwrap());
    let rebuilt = wait_for("relib-rebuilt");
    assert_eq!(rebuilt["module"], project.module().to_str().unwrap());
    assert!(rebuilt["seconds"].as_f64().unwrap() > 0.0);

    project.edit("module/src/lib.rs", "tick: u64", "tick: u6");
    let error = wait_for("compiler-message");
    assert!(error["message"]["message"].as_str().unwrap().contains("cannot find type `u6`"), "{error}");
    assert_eq!(wait_for("relib-build-failed")["host_runs"], true);

    let interrupted = Command::new("kill").args(["-INT", &dev.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert_eq!(dev.wait().unwrap().code(), Some(130));
    assert!(!is_running(&project.program()));
}
