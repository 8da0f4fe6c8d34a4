//! The examples about reloading do what their READMEs say, command by command, in copies.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use relib_tests::root;

/// A copy of an example, and its host while it runs.
struct Example {
    directory: tempfile::TempDir,
    readme: String,
    /// How many of the README's blocks of commands have been run.
    blocks: usize,
    host: Option<(Child, Lines<BufReader<ChildStdout>>)>,
}

impl Example {
    fn copy(name: &str) -> Self {
        let original = root().join("examples").join(name);
        let directory = tempfile::tempdir().unwrap();
        copy_directory(&original, directory.path());
        for member in ["host", "module", "shared"] {
            let manifest = directory.path().join(member).join("Cargo.toml");
            let text = fs::read_to_string(&manifest).unwrap();
            let absolute = text.replace("../../../relib/", &format!("{}/relib/", root().display()));
            fs::write(manifest, absolute).unwrap();
        }
        // What has been compiled once is used again; each example has a directory of its own, since the packages have
        // the same names.
        let target = root().join("target").join("examples").join(name);
        fs::create_dir_all(&target).unwrap();
        std::os::unix::fs::symlink(target, directory.path().join("target")).unwrap();
        let readme = fs::read_to_string(original.join("README.md")).unwrap();
        Self { directory, readme, blocks: 0, host: None }
    }

    /// Runs the next block of commands of the README; a host that it starts goes on running.
    fn run_next_block(&mut self) {
        let block = self.readme.split("```console\n").nth(self.blocks + 1).expect("there is another block");
        let block = block.split("```").next().unwrap_or_default().to_owned();
        self.blocks += 1;
        // Lines without a prompt are what a command prints, or the rest of its here-document.
        let commands = block.strip_prefix("$ ").expect("a block starts with a command").split("\n$ ");
        for command in commands {
            if command.starts_with("cargo run") {
                let (command, printed) = command.split_once('\n').unwrap_or((command, ""));
                self.start(command);
                for line in printed.lines() {
                    self.expect(line);
                }
            } else {
                let status = self.shell(command).status().unwrap();
                assert!(status.success(), "{command}");
            }
        }
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(self.directory.path()).env_remove("CARGO_TARGET_DIR");
        shell
    }

    fn start(&mut self, command: &str) {
        // Without a shell in between, so that the host itself is the child.
        self.shell(&command.replace("run", "build")).status().unwrap();
        let mut host = Command::new(self.directory.path().join("target/debug/host"))
            .current_dir(self.directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(host.stdout.take().unwrap()).lines();
        self.host = Some((host, lines));
    }

    /// Reads what the host prints until a line starts with `text`; returns the line.
    fn expect(&mut self, text: &str) -> String {
        self.read_until(|line| line.starts_with(text)).pop().unwrap()
    }

    /// Reads lines until one is as asked for.
    fn read_until(&mut self, is_last: impl Fn(&str) -> bool) -> Vec<String> {
        let (_, lines) = self.host.as_mut().expect("the host runs");
        let mut read = Vec::new();
        for line in lines {
            let line = line.unwrap();
            let last = is_last(&line);
            read.push(line);
            if last {
                return read;
            }
        }
        panic!("the host has ended after {read:?}");
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        if let Some((host, _)) = &mut self.host {
            let _ = host.kill();
            let _ = host.wait();
        }
    }
}

fn copy_directory(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_name() == "target" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&place).unwrap();
            copy_directory(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}

#[test]
fn live_reload() {
    let mut example = Example::copy("live-reload");
    example.run_next_block();
    example.run_next_block();
    example.expect("(a new build of ");
    example.expect("(build 2 is loaded after ");
    example.expect("good morning, world");
}

#[test]
fn hot_reload_with_state() {
    /// The numbers in `tick 1: 1 points, 1 inhabitants`.
    fn numbers(line: &str) -> [u64; 3] {
        let numbers: Vec<u64> =
            line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
        numbers.try_into().unwrap_or_else(|_| panic!("{line}"))
    }

    let mut example = Example::copy("hot-reload-with-state");
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
