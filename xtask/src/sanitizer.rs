//! Running the matrix under a sanitizer: what is built differently, and which scenarios are left out.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use relib_harness::ScenarioInfo;
use relib_harness::cargo::Variant;
use relib_harness::limits::Limits;
use relib_harness::run::SANITIZED_VARIABLE;

/// The sanitizers that the matrix can run under.
#[derive(Clone, Copy, ValueEnum)]
pub enum Sanitizer {
    /// AddressSanitizer: use after free, out of bounds, double free
    Address,
}

/// How many times longer a scenario may take.
const SLOWDOWN: u32 = 5;

impl Sanitizer {
    /// What host and fixtures are built with.
    pub fn variant(self) -> Result<Variant> {
        let Sanitizer::Address = self;
        Ok(Variant {
            folder: Some("sanitizer-address".to_owned()),
            rustc: Some(nightly_rustc()?),
            // The fixtures use the runtime that the executable was linked with, which has to export it for them.
            // The names of functions are mangled as by the stable compiler, so that backtraces show the same.
            rustflags: [
                "-Zsanitizer=address",
                "-Clink-arg=-rdynamic",
                "-Csymbol-mangling-version=legacy",
                "-Zunstable-options",
            ]
            .map(str::to_owned)
            .to_vec(),
            // With a target, build scripts and macros are built without the sanitizer.
            target: Some("x86_64-unknown-linux-gnu".to_owned()),
            ..Variant::default()
        })
    }

    /// The environment of the processes of scenarios whose runner was built by this variant.
    pub fn environment(self, variant: &Variant) -> Vec<(String, String)> {
        let Sanitizer::Address = self;
        // Leaks are what the scenarios are about, and are measured by the harness. A report ends the process by SIGABRT,
        // so that the outcome shows it.
        let options = "detect_leaks=0:abort_on_error=1:disable_coredump=1:allocator_may_return_null=1";
        let mut environment = variant.environment();
        environment.push(("ASAN_OPTIONS".to_owned(), options.to_owned()));
        environment.push((SANITIZED_VARIABLE.to_owned(), "address".to_owned()));
        environment
    }

    /// The scenarios that can run, with limits that leave room for the sanitizer; says which are left out, and why.
    pub fn allowed(self, scenarios: Vec<ScenarioInfo>) -> Vec<ScenarioInfo> {
        let (out, mut allowed): (Vec<_>, Vec<_>) =
            scenarios.into_iter().partition(|scenario| scenario.unsanitizable.is_some());
        for scenario in out {
            eprintln!("left out: {}: {}", scenario.id, scenario.unsanitizable.unwrap_or_default());
        }
        for scenario in &mut allowed {
            let time = scenario.limits.time.map(|time: Duration| time * SLOWDOWN);
            // AddressSanitizer reserves terabytes for its shadow memory.
            scenario.limits = Limits { time, address_space: None };
        }
        allowed
    }
}

fn nightly_rustc() -> Result<PathBuf> {
    let output = Command::new("rustup")
        .args(["which", "rustc", "--toolchain", "nightly"])
        .output()
        .context("cannot run rustup, which finds the nightly compiler that sanitizers need")?;
    if !output.status.success() {
        bail!(
            "sanitizers need a nightly compiler; install one by `rustup toolchain install nightly`: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}
