//! Builds the runner executable and the fixtures, and asks the runner which scenarios it has.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use escargot::CargoBuild;
use relib_harness::cargo::Variant;
use relib_harness::process::Runner;
use relib_harness::{Feature, Fixtures, Profile, ScenarioInfo, cargo, checkout};

/// The package and the executable that hold the scenarios.
const PACKAGE: &str = "relib_tests";
const BINARY: &str = "relib-scenario";

/// Large crates that the executables depend on and that relib does not: a release build of them would tell nothing.
const UNOPTIMISED: &[&str] = &["clap_builder", "escargot", "insta", "similar"];

/// Where things are. The hidden arguments are for the tests of xtask, which work on a copy.
#[derive(Debug, Clone, clap::Args)]
pub struct Places {
    /// The root of the workspace
    #[arg(long, hide = true)]
    root: Option<PathBuf>,
    /// A runner that is built already, in whatever profile
    #[arg(long, hide = true)]
    runner: Option<PathBuf>,
}

impl Places {
    /// The root of the checkout that xtask was started for.
    pub fn root(&self) -> Result<PathBuf> {
        if let Some(root) = &self.root {
            return Ok(root.clone());
        }
        checkout::root().context("this is in no checkout of relib; run `cargo xtask` inside of one")
    }

    /// Builds the runner executable for this profile.
    pub fn build_runner(&self, profile: Profile, variant: &Variant) -> Result<PathBuf> {
        if let Some(runner) = &self.runner {
            return Ok(runner.clone());
        }
        self.build_executable(BINARY, profile, variant)
    }

    /// Builds an executable of the package of the scenarios.
    pub fn build_executable(&self, binary: &str, profile: Profile, variant: &Variant) -> Result<PathBuf> {
        eprintln!("building {binary} ({profile})");
        let mut build =
            CargoBuild::new().manifest_path(self.root()?.join("Cargo.toml")).package(PACKAGE).bin(binary);
        if profile == Profile::Release {
            let unoptimised =
                UNOPTIMISED.iter().map(|name| format!("--config=profile.release.package.{name}.opt-level=0"));
            build = unoptimised.fold(build.release(), CargoBuild::arg);
        }
        if variant.folder.is_some() {
            build = build.target_dir(variant.target_dir(&self.root()?, "runner"));
        }
        let build = variant.apply(build, &[]);
        let artefacts = cargo::run(build).with_context(|| format!("cannot build {binary}"))?;
        let executable = artefacts.into_iter().find_map(|artefact| artefact.executable);
        executable.with_context(|| format!("cargo built no executable {binary} in {PACKAGE}"))
    }

    /// Builds the fixtures for this profile and says how to run scenarios with them.
    pub fn prepare(&self, executable: PathBuf, profile: Profile, variant: &Variant) -> Result<Runner> {
        let root = self.root()?;
        eprintln!("building fixtures ({profile})");
        let manifest = Fixtures::manifest_path(&root, profile, variant);
        Fixtures::build(&root, profile, variant)?.save(&manifest)?;
        let shown_folders = variant.shown_folders(&root);
        Ok(Runner { executable, manifest, root, shown_folders, launcher: None, environment: Vec::new() })
    }
}

/// The scenarios of a runner; those that test the harness itself only if asked for.
pub fn list(executable: &Path, with_self_tests: bool) -> Result<Vec<ScenarioInfo>> {
    list_by(Command::new(executable), executable, with_self_tests)
}

/// As [`list`], by a command that starts the runner.
pub fn list_by(mut command: Command, executable: &Path, with_self_tests: bool) -> Result<Vec<ScenarioInfo>> {
    let output =
        command.arg("list").output().with_context(|| format!("cannot run {}", executable.display()))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{} list ended with {}: {stderr}", executable.display(), output.status);
    }
    let mut scenarios: Vec<ScenarioInfo> = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the list of {} is not understood", executable.display()))?;
    scenarios.retain(|scenario| with_self_tests || scenario.feature != Feature::SelfTest);
    Ok(scenarios)
}
