//! From a new build that is complete on disk to the first call of its code.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bench_interface::ModuleExports;

use super::turns::{alternate, row};
use crate::effort::Effort;
use crate::peers::Files;
use crate::results::Results;

/// Longer than any reload takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the library of hot-lib-reloader is.
static HOT_DIRECTORY: OnceLock<PathBuf> = OnceLock::new();

fn hot_directory() -> &'static Path {
    HOT_DIRECTORY.get().expect("the directory is set before the library is called")
}

#[hot_lib_reloader::hot_module(dylib = "bench_hot", lib_dir = crate::measure::reloading::hot_directory())]
mod hot {
    #[hot_functions]
    unsafe extern "Rust" {
        pub fn hot_version() -> u64;
    }
}

pub fn measure(files: &Files, effort: &Effort, results: &mut Results) -> Result<()> {
    let directory = |name: &str| -> Result<PathBuf> {
        let directory = files.scratch().join(name);
        fs::create_dir_all(&directory)?;
        Ok(directory)
    };
    let builds = |name: &str, directory: &Path| -> Result<Builds> {
        let name = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        let builds = Builds::of(&files.built.join(&name), &directory.join(&name))?;
        builds.install(0)?;
        Ok(builds)
    };

    let hot_directory = directory("hot")?;
    let hot_builds = builds("bench_hot", &hot_directory)?;
    HOT_DIRECTORY.get_or_init(|| hot_directory);
    ensure!(hot::hot_version() == hot_builds.version(0), "hot-lib-reloader has not loaded its library");

    let module_builds = builds("bench_module", &directory("reloader")?)?;
    // SAFETY: the module is ours, and so is each build of it.
    let mut reloader = unsafe { relib::Reloader::<ModuleExports>::start(&module_builds.target, ())? };

    let (mut hot_round, mut round) = (0, 0);
    let mut theirs = || {
        hot_round += 1;
        hot_builds.time_of_reload(hot_round, || Ok(hot::hot_version()))
    };
    let mut ours = || {
        round += 1;
        module_builds.time_of_reload(round, || {
            for event in reloader.poll() {
                if let relib::ReloadEvent::Refused(error) = event {
                    bail!("relib refuses a build: {error}");
                }
            }
            reloader.exports().version().context("the module panicked")
        })
    };
    let rounds = effort.long_rounds;
    let [ours, theirs] = alternate(rounds, [&mut ours, &mut theirs])?;
    let what = "reload: from the new file complete on disk to the first call of the new code";
    results.rows.push(row("reload", what, "hot-lib-reloader at its defaults", ours, theirs, rounds));
    reloader.unload().map_err(|failed| anyhow::anyhow!("{failed}"))?;
    Ok(())
}

/// Builds of a library that differ in their version, and the place where the newest is put.
struct Builds {
    target: PathBuf,
    bytes: Vec<u8>,
    /// Where the version stands; the compiler may have put it into its own description of the library too.
    versions_at: Vec<usize>,
}

impl Builds {
    fn of(built: &Path, target: &Path) -> Result<Self> {
        let bytes = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
        let places = bytes.windows(workload::VERSION.len()).enumerate();
        let versions_at: Vec<usize> =
            places.filter(|(_, part)| **part == workload::VERSION).map(|(place, _)| place).collect();
        ensure!(!versions_at.is_empty(), "{} has no version", built.display());
        Ok(Self { target: target.to_owned(), bytes, versions_at })
    }

    fn version(&self, round: usize) -> u64 {
        10 + (round % 90) as u64
    }

    /// Puts a build where the reloader looks for it.
    fn install(&self, round: usize) -> Result<()> {
        let mut bytes = self.bytes.clone();
        let digits = self.version(round).to_string();
        for place in &self.versions_at {
            bytes[place + 14..place + 16].copy_from_slice(digits.as_bytes());
        }
        Ok(fs::write(&self.target, bytes)?)
    }

    /// Nanoseconds until `call`, which is called again and again, returns the version of a build that is put in place.
    fn time_of_reload(&self, round: usize, mut call: impl FnMut() -> Result<u64>) -> Result<f64> {
        self.install(round)?;
        let start = Instant::now();
        while call()? != self.version(round) {
            ensure!(start.elapsed() < PATIENCE, "build {round} of {} was not loaded", self.target.display());
            // The reloaders work on threads of their own.
            std::thread::sleep(Duration::from_micros(100));
        }
        Ok(start.elapsed().as_nanos() as f64)
    }
}
