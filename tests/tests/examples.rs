//! Each example does what its README says, command by command, in a copy.
//!
//! Most run from their first command to their last. The hosts of those about reloading go on running while the commands
//! after them change the module.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{OpenptyResult, Winsize, openpty};
use relib_tests::example::{Example, blocks, run_readme};

relib_tests::example_tests! {
    async_tokio: run_readme("async-tokio"),
    c_in_a_module: run_readme("c-in-a-module"),
    game_loop: play("game-loop"),
    hello: run_readme("hello"),
    hot_reload_with_state: change_rules_and_state("hot-reload-with-state"),
    live_reload: change_a_greeting("live-reload"),
    plugin_host: run_readme("plugin-host"),
}

/// How long a host may take to print what is expected of it; far longer than it does.
const PATIENCE: Duration = Duration::from_secs(120);

/// The blocks of a README that show a terminal (` ```console `), in their order: of each, the commands.
///
/// A command has the lines after its own that have no prompt: what it prints, or the rest of its here-document.
fn terminals(readme: &str) -> VecDeque<Vec<String>> {
    let consoles = blocks(readme).into_iter().filter(|block| block.language == "console");
    let commands = consoles.map(|block| {
        let commands = block.contents.strip_prefix("$ ").expect("a block starts with a command");
        commands.split("\n$ ").map(|command| command.trim_end().to_owned()).collect()
    });
    commands.collect()
}

/// Builds what `cargo run -p <package>` would run, and returns the executable: without cargo and a shell in between, the
/// host itself is the child.
fn build_host(copy: &Example, command: &str) -> Command {
    let package = command.strip_prefix("cargo run -p ").expect("the command names the package of the host");
    copy.run(&format!("cargo build -p {package}"));
    let mut host = Command::new(copy.folder().join("target/debug").join(package));
    host.current_dir(copy.folder());
    host
}

/// An example whose host goes on running.
struct Live {
    copy: Example,
    terminals: VecDeque<Vec<String>>,
    host: Option<(Child, Receiver<String>)>,
}

impl Live {
    fn of(name: &str) -> Self {
        let copy = Example::of(name);
        let terminals = terminals(&copy.readme());
        Self { copy, terminals, host: None }
    }

    /// Runs the next block of commands of the README; a host that it starts goes on running.
    fn run_next_block(&mut self) {
        for command in self.terminals.pop_front().expect("there is another block") {
            if command.starts_with("cargo run") {
                let (command, printed) = command.split_once('\n').unwrap_or((&command, ""));
                self.start(command);
                printed.lines().for_each(|line| drop(self.expect(line)));
            } else {
                self.copy.run(&command);
            }
        }
    }

    fn start(&mut self, command: &str) {
        let mut host = build_host(&self.copy, command).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(host.stdout.take().unwrap()).lines();
        let (sender, receiver) = mpsc::channel();
        // Ends with the host.
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        self.host = Some((host, receiver));
    }

    /// Reads what the host prints until a line starts with `text`; returns the line.
    fn expect(&mut self, text: &str) -> String {
        self.read_until(|line| line.starts_with(text)).pop().unwrap()
    }

    /// Reads lines until one is as asked for.
    fn read_until(&mut self, is_last: impl Fn(&str) -> bool) -> Vec<String> {
        let (_, lines) = self.host.as_mut().expect("the host runs");
        let mut read = Vec::new();
        loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => read.push(line),
                Err(error) => panic!("{error}; the host has printed {read:#?}"),
            }
            if read.last().is_some_and(|line| is_last(line)) {
                return read;
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some((host, _)) = &mut self.host {
            let _ = host.kill();
            let _ = host.wait();
        }
    }
}

fn change_a_greeting(name: &str) {
    let mut example = Live::of(name);
    example.run_next_block();
    example.run_next_block();
    example.expect("(a new build of ");
    example.expect("(build 2 is loaded after ");
    example.expect("good morning, world");
}

fn change_rules_and_state(name: &str) {
    /// The numbers in `tick 1: 1 points, 1 inhabitants`.
    fn numbers(line: &str) -> [u64; 3] {
        let numbers: Vec<u64> =
            line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
        numbers.try_into().unwrap_or_else(|_| panic!("{line}"))
    }

    let mut example = Live::of(name);
    example.run_next_block();
    example.run_next_block();
    let old = example.read_until(|line| line.starts_with("(build 2"));
    let last = old.iter().rfind(|line| line.starts_with("tick")).map(|line| numbers(line));
    let last = last.unwrap_or([2, 2, 2]);
    let next = numbers(&example.expect("tick"));
    assert_eq!(next, [last[0] + 1, last[1] + 100, last[2] + 1]);

    example.run_next_block();
    let refused = example.expect("(the new build is refused: ");
    assert!(refused.contains("migrate_state"), "{refused}");
    let before = numbers(&example.expect("tick"));

    example.run_next_block();
    let migrated = example.expect("(build 3");
    assert!(migrated.contains("migrated"), "{migrated}");
    let after = numbers(&example.expect("tick"));
    assert!(after[0] > before[0] && after[1] > before[1] && after[2] == after[0], "{before:?} {after:?}");
}

/// Runs the commands of the README, and then the game in a terminal, while its rules change.
fn play(name: &str) {
    run_readme(name);

    let copy = Example::of(name);
    let terminals = terminals(&copy.readme());
    let [start, change] = terminals.as_slices().0 else { panic!("the README has two terminals") };
    let (start, before) = start.split_last().expect("the first starts the game");
    before.iter().for_each(|command| drop(copy.run(command)));
    let mut terminal = Terminal::run(build_host(&copy, start));
    terminal.wait_for("build 1");
    terminal.wait_for("o.");
    change.iter().for_each(|command| drop(copy.run(command)));
    terminal.wait_for("build 2");
    terminal.wait_for("@.");
    terminal.press("q");
    assert!(terminal.host.wait().unwrap().success());
}

/// A host in a terminal of its own.
struct Terminal {
    host: Child,
    screen: File,
    /// What the host has written and nobody waited for yet.
    written: String,
}

impl Terminal {
    fn run(mut host: Command) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        let host = host.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Self { host, screen: File::from(master), written: String::new() }
    }

    /// Reads what the host writes up to `text`.
    fn wait_for(&mut self, text: &str) {
        while !self.written.contains(text) {
            let mut ready = [PollFd::new(self.screen.as_fd(), PollFlags::POLLIN)];
            let limit = PollTimeout::try_from(PATIENCE).unwrap();
            assert_eq!(poll(&mut ready, limit), Ok(1), "no {text:?} in {:?}", self.written);
            let mut bytes = [0; 4096];
            let len = self.screen.read(&mut bytes).expect("the host runs");
            self.written.push_str(&String::from_utf8_lossy(&bytes[..len]));
        }
        let end = self.written.find(text).expect("it is there now") + text.len();
        self.written.drain(..end);
    }

    fn press(&mut self, key: &str) {
        self.screen.write_all(key.as_bytes()).unwrap();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.host.kill();
        let _ = self.host.wait();
    }
}
