//! Where a first load in place and an unload spend what they take: instructions by function (`valgrind
//! --tool=callgrind`), system calls (`strace`) and page faults. None of it depends on what else the machine does.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::effort::Effort;
use crate::instructions::{Subject, exists, repeat_command};
use crate::peers::{self, Changing, Files, Plain};
use crate::results::{FunctionCost, Results, Row, Unit};

/// Functions with less than this part of the whole are left out.
const LEAST_SHARE: f64 = 0.02;

/// How often a load is done in one of two processes; twice as often in the other, and the difference counts, because the
/// first loads do what is done once.
const LOADS: u64 = 100;

pub fn measure(files: &Files, _effort: &Effort, results: &mut Results) -> Result<()> {
    if exists("valgrind") && exists("callgrind_annotate") {
        results.profile = functions(files)?;
    }
    let mut count = |id, what: &str, unit, [ours, theirs]: [f64; 2]| {
        results.rows.push(Row {
            id,
            what: what.to_owned(),
            against: "dlopen and dlclose by libloading".to_owned(),
            unit,
            ours,
            theirs,
            rounds: 1,
        });
    };
    if exists("strace") {
        let mut names: BTreeMap<String, [f64; 2]> = BTreeMap::new();
        for (side, subject) in [Subject::Load, Subject::PlainLoad].into_iter().enumerate() {
            for (name, calls) in system_calls(files, subject)? {
                names.entry(name).or_default()[side] = calls;
            }
        }
        let sum = |side: usize| names.values().map(|calls| calls[side]).sum();
        count("calls-load", "first load in place and unload: system calls", Unit::Calls, [sum(0), sum(1)]);
        results.system_calls = names.into_iter().collect();
    }
    let module = Changing::new(files.another_module("changing")?)?;
    let faults = [
        faults(|| peers::unload(peers::load_in_place(module.change()?)?).map(drop))?,
        faults(|| Plain::load(&files.plain)?.close())?,
    ];
    count("faults-load", "first load in place and unload: page faults", Unit::Faults, faults);
    Ok(())
}

/// The functions of relib, and those of the dynamic loader that it calls, with what they and what they call execute.
fn functions(files: &Files) -> Result<Vec<FunctionCost>> {
    let few = inclusive(files, LOADS)?;
    let many = inclusive(files, 2 * LOADS)?;
    let mut costs: Vec<FunctionCost> = many
        .into_iter()
        .map(|(name, cost)| {
            let before = few.get(&name).copied().unwrap_or_default();
            FunctionCost { name, instructions: (cost - before) / LOADS as f64 }
        })
        .collect();
    costs.sort_by(|a, b| b.instructions.total_cmp(&a.instructions));
    // What the load begins with comes first: it calls all others, but for those of the unload.
    let whole = costs.first().map_or(0.0, |first| first.instructions);
    ensure!(whole > 0.0, "callgrind does not show the functions of relib by their names");
    costs.retain(|cost| cost.instructions >= whole * LEAST_SHARE);
    Ok(costs)
}

/// Instructions by function, with those that it calls, in a process that loads and unloads so often.
fn inclusive(files: &Files, loads: u64) -> Result<BTreeMap<String, f64>> {
    let counted = files.scratch().join("callgrind.out");
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", counted.display()));
    let output =
        repeat_command(valgrind, files, Subject::Load, loads)?.output().context("cannot run valgrind")?;
    ensure!(output.status.success(), "valgrind: {}", String::from_utf8_lossy(&output.stderr));
    let annotated = Command::new("callgrind_annotate")
        .args(["--inclusive=yes", "--threshold=100", "--show-percs=no"])
        .arg(&counted)
        .output()
        .context("cannot run callgrind_annotate")?;
    let text = String::from_utf8_lossy(&annotated.stdout);
    Ok(text.lines().filter_map(function_line).collect())
}

/// Reads `  1,234  file:function [object]`, if the function is one that the profile is about.
fn function_line(line: &str) -> Option<(String, f64)> {
    let (count, place) = line.trim_start().split_once("  ")?;
    let count = count.replace(',', "").parse().ok()?;
    let (_, function) = place.trim_start().split_once(':')?;
    let function = function.rsplit_once(" [").map_or(function, |(function, _)| function);
    let name = function.split_once("@@").map_or(function, |(name, _)| name);
    let wanted = name.starts_with("relib::") || ["dlopen", "dlclose"].contains(&name);
    wanted.then(|| (name.to_owned(), count))
}

/// System calls by name of one load and unload.
fn system_calls(files: &Files, subject: Subject) -> Result<BTreeMap<String, f64>> {
    let few = traced(files, subject, LOADS)?;
    let many = traced(files, subject, 2 * LOADS)?;
    let per_load = |(name, calls): (String, f64)| {
        let before = few.get(&name).copied().unwrap_or_default();
        (name, (calls - before) / LOADS as f64)
    };
    // By this the file is changed before each load.
    let counts = |name: &str, calls: f64| calls > 0.0 && name != "utimensat";
    Ok(many.into_iter().map(per_load).filter(|(name, calls)| counts(name, *calls)).collect())
}

fn traced(files: &Files, subject: Subject, loads: u64) -> Result<BTreeMap<String, f64>> {
    let counted = files.scratch().join("strace.out");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o"]).arg(&counted);
    let output = repeat_command(strace, files, subject, loads)?.output().context("cannot run strace")?;
    ensure!(output.status.success(), "strace: {}", String::from_utf8_lossy(&output.stderr));
    read_summary(&counted)
}

/// Reads lines such as ` 12.34  0.000123  1  100  3 openat`, of which the errors may be missing.
fn read_summary(path: &Path) -> Result<BTreeMap<String, f64>> {
    let text = std::fs::read_to_string(path).context("strace has written no summary")?;
    let line = |line: &str| {
        let parts: Vec<&str> = line.split_whitespace().collect();
        let (name, calls) = (*parts.last()?, parts.get(3)?.parse().ok()?);
        (name != "total").then(|| (name.to_owned(), calls))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// Page faults of one run of `body`, on average.
fn faults(body: impl Fn() -> Result<()>) -> Result<f64> {
    body()?;
    let before = page_faults();
    for _ in 0..LOADS {
        body()?;
    }
    Ok((page_faults() - before) as f64 / LOADS as f64)
}

/// The page faults of this process so far that needed no reading.
fn page_faults() -> i64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the call writes a `rusage`, of which zero is a valid value of all fields.
    unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init().ru_minflt
    }
}
