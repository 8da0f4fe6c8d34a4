//! Runs what the README of an example tells people to run, and compares what it prints with what the README shows.
//!
//! A README has blocks of commands (` ```sh `), to be run in the example's folder in their order. A block of text
//! (` ```text `) shows what the commands before it print to the standard output. It must not know what an example is
//! about.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::root;

/// Where an example is in the output that its README shows.
const SHOWN_ROOT: &str = "/home/me/relib/examples";

/// How long the commands of one block may take: builds on a busy machine included.
const TIME_LIMIT_SECS: u32 = 900;

/// A fenced block of a Markdown text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// The word after the opening fence: `sh`, `text`, `rust`...
    pub language: &'a str,
    /// The lines between the fences.
    pub contents: &'a str,
}

/// The fenced blocks of a Markdown text, in their order.
///
/// # Panics
/// When the last one has no end.
pub fn blocks(markdown: &str) -> Vec<Block<'_>> {
    const FENCE: &str = "```";
    let mut blocks = Vec::new();
    let mut rest = markdown;
    while let Some(start) = find_line(rest, FENCE) {
        let (language, after) = rest[start + FENCE.len()..].split_once('\n').expect("a fence ends its line");
        let end = find_line(after, FENCE).unwrap_or_else(|| panic!("a block of `{language}` has no end"));
        blocks.push(Block { language, contents: &after[..end] });
        rest = &after[end + FENCE.len()..];
    }
    blocks
}

/// Where the first line that starts with `prefix` starts.
fn find_line(text: &str, prefix: &str) -> Option<usize> {
    if text.starts_with(prefix) {
        return Some(0);
    }
    text.find(&format!("\n{prefix}")).map(|newline| newline + 1)
}

/// Runs the commands of the README of `examples/<name>` on a copy of the example, and asserts what they print.
///
/// # Panics
/// When a command fails or prints something else than the README shows, or the README shows nothing.
pub fn run_readme(name: &str) {
    let copy = Example::of(name);
    let readme = copy.readme();
    let mut printed: Option<String> = None;
    let mut compared = 0;
    for block in blocks(&readme) {
        match block.language {
            "sh" => printed = Some(copy.run(block.contents)),
            "text" => {
                let printed = printed.take().expect("commands stand before the text that they print");
                assert!(
                    printed == block.contents,
                    "examples/{name} prints something else than README.md shows:\n{printed}"
                );
                compared += 1;
            }
            _ => {}
        }
    }
    assert!(compared > 0, "the README.md of examples/{name} shows nothing that its commands print");
}

/// Where the copies are: as deep below the root as the originals, so that paths to the crates of relib lead there too.
fn copies() -> PathBuf {
    root().join("target")
}

/// Where what the examples depend on is built, once for all: below [`copies`].
const BUILD_FOLDER: &str = "examples-build";

/// A copy of an example that commands may change. It keeps its own target folder, so that what has not changed since the
/// last time is not built again; it is ours alone for as long as this lives.
pub struct Example {
    folder: PathBuf,
    name: String,
    _lock: File,
}

impl Example {
    /// Copies `examples/<name>`, and fetches its dependencies if they are not there.
    ///
    /// # Panics
    /// When that fails.
    pub fn of(name: &str) -> Example {
        let copy = Example::made(name).unwrap_or_else(|error| panic!("cannot copy examples/{name}: {error}"));
        copy.output(copy.shell("cargo fetch"));
        copy
    }

    fn made(name: &str) -> io::Result<Example> {
        let folder = copies().join(format!("example-{name}"));
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join(".lock"))?;
        lock.lock()?;
        let original = root().join("examples").join(name);
        mirror(&original, &folder, &["target", ".lock", "Cargo.lock", ".cargo"])?;
        fs::create_dir_all(folder.join(".cargo"))?;
        fs::write(folder.join(".cargo/config.toml"), settings(&original)?)?;
        // The same versions as everywhere in this repository, unless the example has dependencies of its own.
        let own = original.join("Cargo.lock");
        let lock_file = if is_tracked(&own) { own } else { root().join("Cargo.lock") };
        fs::copy(lock_file, folder.join("Cargo.lock"))?;
        Ok(Example { folder, name: name.to_owned(), _lock: lock })
    }

    /// Runs shell commands in the copy, and returns what they print to the standard output.
    ///
    /// # Panics
    /// When one of them fails.
    pub fn run(&self, commands: &str) -> String {
        self.output(self.command(commands))
    }

    /// Shell commands that are to run in the copy, with what has been fetched.
    fn command(&self, commands: &str) -> Command {
        let mut command = self.shell(commands);
        command.env("CARGO_NET_OFFLINE", "true");
        command
    }

    /// The folder of the copy.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The README of the example.
    ///
    /// # Panics
    /// When there is none.
    pub fn readme(&self) -> String {
        fs::read_to_string(self.folder.join("README.md"))
            .unwrap_or_else(|error| panic!("cannot read the README.md of examples/{}: {error}", self.name))
    }

    fn shell(&self, commands: &str) -> Command {
        let mut shell = Command::new("timeout");
        shell
            .arg(TIME_LIMIT_SECS.to_string())
            .args(["bash", "-eu", "-o", "pipefail", "-c", commands])
            .current_dir(&self.folder)
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null());
        shell
    }

    fn output(&self, mut command: Command) -> String {
        let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let (printed, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(
            output.status.success(),
            "{} of {command:?}\nIt printed:\n{printed}\n{errors}",
            output.status
        );
        let shown = format!("{SHOWN_ROOT}/{}", self.name);
        printed.replace(&self.folder.display().to_string(), &shown)
    }
}

/// Settings for cargo by which an example finds what it depends on built by another.
///
/// Cargo tells packages of different workspaces apart by their names and versions only, and each example has a `shared`. It
/// tells them by their settings too: the examples' own packages get one that differs, and that has next to no effect.
fn settings(original: &Path) -> io::Result<String> {
    const UNUSUAL: usize = 100;
    let examples = fs::read_dir(original.parent().unwrap_or(original))?;
    let mut examples = examples.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    examples.sort();
    let number = UNUSUAL + examples.iter().position(|example| example == original).unwrap_or_default();
    let build_folder = copies().join(BUILD_FOLDER);
    let mut settings = format!("[build]\nbuild-dir = {:?}\n", build_folder.display().to_string());
    for name in packages(original) {
        for profile in ["dev", "release"] {
            settings.push_str(&format!("[profile.{profile}.package.{name:?}]\ncodegen-units = {number}\n"));
        }
    }
    Ok(settings)
}

/// The names of the packages of a workspace.
fn packages(folder: &Path) -> Vec<String> {
    let mut metadata = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    metadata.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(folder);
    let output = metadata.output().unwrap_or_else(|error| panic!("cannot run {metadata:?}: {error}"));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("cargo metadata says nothing of {}: {error}", folder.display()));
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages.filter_map(|package| Some(package["name"].as_str()?.to_owned())).collect()
}

/// Whether git knows the file: one that is ignored was left behind by a build in the example itself.
fn is_tracked(path: &Path) -> bool {
    let listed =
        Command::new("git").args(["ls-files", "--error-unmatch"]).arg(path).current_dir(root()).output();
    listed.is_ok_and(|output| output.status.success())
}

/// Makes `to` the same as `from`, but for the names in `except`. Files with the right contents are left alone, so that
/// cargo sees no change.
fn mirror(from: &Path, to: &Path, except: &[&str]) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let excepted = |path: &Path| except.iter().any(|name| path.file_name() == Some(name.as_ref()));
    for entry in fs::read_dir(to)? {
        let path = entry?.path();
        let original = from.join(path.file_name().expect("an entry has a name"));
        if excepted(&path) || original.exists() {
            continue;
        }
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if excepted(&path) {
            continue;
        }
        let copy = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            mirror(&path, &copy, except)?;
        } else {
            let contents = fs::read(&path)?;
            if fs::read(&copy).ok().as_ref() != Some(&contents) {
                fs::write(&copy, contents)?;
            }
        }
    }
    Ok(())
}

/// One `#[test]` per example, which hands its name to a function, and one that fails when an example has none.
///
/// ```text
/// relib_tests::example_tests! {
///     hello: run_readme("hello"),
/// }
/// ```
#[macro_export]
macro_rules! example_tests {
    ($($name:ident: $run:ident($example:literal)),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                $run($example);
            }
        )*

        #[test]
        fn every_example_has_a_test() {
            $crate::example::assert_all(&[$($example),*]);
        }
    };
}

/// Makes sure that these are all examples.
///
/// # Panics
/// When one is missing.
pub fn assert_all(tested: &[&str]) {
    let examples = fs::read_dir(root().join("examples")).expect("the examples are in their folder");
    for example in examples {
        let name =
            example.expect("the folder can be read").file_name().into_string().expect("names are text");
        // `cargo xtask demo` fills in its arguments.
        if name != "demo" {
            assert!(
                tested.contains(&name.as_str()),
                "examples/{name} has no #[test]; add it to tests/tests/examples.rs"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_blocks_of_a_text() {
        let text = "# Title\n```sh\na\nb\n```\ntext with ``` in it\n\n```text\n```\n";
        assert_eq!(
            blocks(text),
            [Block { language: "sh", contents: "a\nb\n" }, Block { language: "text", contents: "" }]
        );
    }
}
