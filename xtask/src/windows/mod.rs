//! What it takes to build for Windows and to run that here: a cross compiler, the sources of std, and Wine.
//!
//! The compiler is Debian's, because its package with the sources of std belongs to it. Everything is built into a
//! folder of its own, and Wine gets a prefix of its own there.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use relib_harness::cargo::Variant;
use relib_harness::process::Runner;
use relib_harness::{Platform, ScenarioInfo};

const TARGET: &str = "x86_64-pc-windows-gnu";
/// Below `target`.
const FOLDER: &str = "windows";

const CARGO: &str = "/usr/bin/cargo";
const RUSTC: &str = "/usr/bin/rustc";
const GCC: &str = "/usr/bin/x86_64-w64-mingw32-gcc-posix";
const AR: &str = "/usr/bin/x86_64-w64-mingw32-ar";
const WINE: &str = "/usr/lib/wine/wine64";
const STD_SOURCES: &str = "/usr/lib/rustlib/src/rust/library/Cargo.toml";

/// What has to be there, and the package of Debian that brings it.
const NEEDED: &[(&str, &str)] = &[
    (WINE, "wine64"),
    (GCC, "gcc-mingw-w64-x86-64-posix"),
    (RUSTC, "rustc-web"),
    (CARGO, "cargo-web"),
    (STD_SOURCES, "rust-web-src"),
];

/// What std consists of: optimised in a debug build, too, as in the std that comes with a compiler, and without debug
/// information, which would be most of each fixture, and is copied and mapped by every load.
const STD_CRATES: &[&str] =
    &["std", "alloc", "core", "addr2line", "gimli", "object", "miniz_oxide", "rustc-demangle", "hashbrown"];

/// Set in the process that has the environment of this build.
const MARK: &str = "RELIB_XTASK_WINDOWS";

#[derive(clap::Args)]
pub struct Arguments {
    /// What to set up
    #[arg(value_enum)]
    what: What,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// What `test-matrix --platform windows` needs
    Windows,
}

/// `cargo xtask setup`: installs the packages that are missing.
pub fn setup(arguments: &Arguments) -> Result<ExitCode> {
    let What::Windows = arguments.what;
    let packages = missing();
    if packages.is_empty() {
        println!("everything is there");
        return Ok(ExitCode::SUCCESS);
    }
    let install = ["install", "--yes", "--no-install-recommends"].iter().chain(&packages).copied().collect();
    for arguments in [vec!["update"], install] {
        println!("apt-get {}", arguments.join(" "));
        let status = Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(&arguments)
            .status()
            .context("cannot run apt-get")?;
        if !status.success() {
            bail!("apt-get {} ended with {status}; it needs the rights of root", arguments.join(" "));
        }
    }
    check()?;
    Ok(ExitCode::SUCCESS)
}

fn missing() -> Vec<&'static str> {
    NEEDED.iter().filter(|(path, _)| !Path::new(path).exists()).map(|(_, package)| *package).collect()
}

fn check() -> Result<()> {
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    let packages = packages.join(" ");
    bail!(
        "these packages are missing: {packages}; run cargo xtask setup windows, or apt-get install {packages}"
    )
}

/// Whether this process has the environment that the build needs.
pub fn is_in_environment() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Runs this command again in the environment that the build needs; `None` if this process has it.
///
/// Which cargo is run is read from the environment once, deep inside, so it has to be there from the start.
pub fn in_environment() -> Result<Option<ExitCode>> {
    if is_in_environment() {
        return Ok(None);
    }
    check()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths(std::iter::once(PathBuf::from("/usr/bin")).chain(std::env::split_paths(&path)))?;
    let status = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(MARK, "1")
        .env("PATH", path)
        .env("CARGO", CARGO)
        .env("RUSTC", RUSTC)
        // Building std is for nightly compilers only, unless one is told otherwise.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", GCC)
        .env("CC_x86_64_pc_windows_gnu", GCC)
        .env("AR_x86_64_pc_windows_gnu", AR)
        // As in the fixtures' workspace, so that both share one build of std.
        .env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only")
        .env_remove("RUSTUP_TOOLCHAIN")
        .status()?;
    Ok(Some(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)))
}

/// What the outcomes are those of, for the legend of the support table.
pub fn description() -> Result<String> {
    let version = |program: &str| -> Result<String> {
        let output = Command::new(program).arg("--version").output();
        let output = output.with_context(|| format!("cannot run {program}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    Ok(format!(
        "built for `{TARGET}` by {} and run under {}; nothing is claimed for MSVC",
        version(RUSTC)?,
        version(WINE)?
    ))
}

/// How everything is built.
pub fn variant() -> Variant {
    Variant {
        folder: Some(FOLDER.to_owned()),
        rustc: Some(RUSTC.into()),
        target: Some(TARGET.to_owned()),
        platform: Some(Platform::WindowsX86_64),
        arguments: std::iter::once("-Zbuild-std=std,panic_unwind".to_owned())
            .chain(STD_CRATES.iter().flat_map(|name| {
                let package = |profile| format!("--config=profile.{profile}.package.{name}");
                let [dev, release] = ["dev", "release"].map(package);
                [format!("{dev}.opt-level=3"), format!("{dev}.debug=0"), format!("{release}.debug=0")]
            }))
            .collect(),
        one_folder: true,
        ..Variant::default()
    }
}

/// Wine with a prefix of its own. A process of it runs until this is dropped, so that the processes of scenarios do not
/// start services that outlive them.
pub struct Wine {
    prefix: PathBuf,
    keeper: Child,
    /// Kept open, for the keeper to write its prompt to.
    _output: ChildStdout,
}

/// What the process that keeps Wine running says when it does.
const READY: &str = "ready";

impl Wine {
    /// Makes the prefix if there is none, and starts Wine.
    pub fn start(root: &Path) -> Result<Self> {
        let prefix = root.join("target").join(FOLDER).join("prefix");
        if !prefix.join("system.reg").exists() {
            eprintln!("making a Wine prefix");
            fs::create_dir_all(&prefix)?;
            let status = command(&prefix).args(["wineboot", "-i"]).status().context("cannot run Wine")?;
            if !status.success() {
                bail!("wineboot ended with {status}; remove {} and try again", prefix.display());
            }
        }
        let mut keeper = command(&prefix)
            .args(["cmd.exe", "/k", "echo", READY])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run Wine")?;
        // The first process of a prefix starts Wine's services, and must not be a scenario's.
        let mut lines = BufReader::new(keeper.stdout.take().context("Wine has no output")?);
        let mut line = String::new();
        while !line.contains(READY) {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                bail!("Wine ended at once; remove {} and try again", prefix.display());
            }
        }
        Ok(Self { prefix, keeper, _output: lines.into_inner() })
    }

    /// Has a runner started by Wine, and puts beside it what Wine lacks.
    pub fn launch(&self, runner: &mut Runner) -> Result<()> {
        add_missing_library(&runner.executable)?;
        runner.launcher = Some(WINE.into());
        runner.environment = environment(&self.prefix);
        Ok(())
    }

    /// The scenarios of a runner.
    pub fn list(&self, executable: &Path, with_self_tests: bool) -> Result<Vec<ScenarioInfo>> {
        add_missing_library(executable)?;
        let mut command = command(&self.prefix);
        command.arg(executable);
        crate::runner::list_by(command, executable, with_self_tests)
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.keeper.stdin.take() {
            // If this fails the command interpreter ends because its input does.
            let _ = stdin.write_all(b"exit\r\n");
        }
        let _ = self.keeper.wait();
    }
}

fn environment(prefix: &Path) -> Vec<(String, String)> {
    [
        ("WINEPREFIX", prefix.to_string_lossy().into_owned()),
        ("WINEDEBUG", "-all".to_owned()),
        // Where Wine's processes meet: with a directory of its own each scenario would start services of its own.
        ("TMPDIR", std::env::temp_dir().to_string_lossy().into_owned()),
        // No debugger that waits for somebody when a process crashes, no offers to install more.
        ("WINEDLLOVERRIDES", "winedbg.exe,mscoree,mshtml=".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn command(prefix: &Path) -> Command {
    let mut command = Command::new(WINE);
    command.envs(environment(prefix)).stderr(Stdio::null());
    command
}

/// Builds the library that Wine lacks into the folder of an executable.
fn add_missing_library(executable: &Path) -> Result<()> {
    let library = executable.with_file_name("bcryptprimitives.dll");
    if library.exists() {
        return Ok(());
    }
    let mut compiler = Command::new(GCC)
        .args(["-shared", "-O2", "-o"])
        .arg(&library)
        .args(["-x", "c", "-", "-ladvapi32"])
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {GCC}"))?;
    // The compiler waits for the end of it, which is when the pipe is dropped.
    let mut source = compiler.stdin.take().context("the compiler has no input")?;
    source.write_all(include_bytes!("bcryptprimitives.c")).context("the compiler does not read")?;
    drop(source);
    let status = compiler.wait().with_context(|| format!("cannot wait for {GCC}"))?;
    if !status.success() {
        bail!("{GCC} cannot compile bcryptprimitives.c; its messages stand above");
    }
    Ok(())
}
