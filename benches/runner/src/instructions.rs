//! Instruction counts by `valgrind --tool=callgrind`: they repeat exactly, whatever else the machine does.

use std::hint::black_box;
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::effort::Effort;
use crate::peers::{self, Changing, Files, Plain};
use crate::results::{Results, Row, Unit};

/// What is done again and again.
#[derive(Clone, Copy, ValueEnum)]
pub enum Subject {
    /// Call a function of relib's module
    Call,
    /// Call a function by a symbol of libloading
    PlainCall,
    /// Allocate and free in relib's module
    Pair,
    /// Allocate and free in the host
    HostPair,
    /// Load relib's module in place for the first time and unload it
    Load,
    /// Load relib's module in place, which has been verified, and unload it
    LoadAgain,
    /// Open and verify relib's module
    Verify,
    /// dlopen and dlclose
    PlainLoad,
}

/// Does it so often.
pub fn repeat(files: &Files, subject: Subject, count: u64) -> Result<()> {
    match subject {
        Subject::Call => {
            let module = peers::load_in_place(&files.module)?;
            let mut sum = 0;
            for i in 0..count {
                sum = module.exports().add(black_box(sum), i).context("the module panicked")?;
            }
            black_box(sum);
            peers::unload(module)?;
        }
        Subject::PlainCall => {
            let plain = Plain::load(&files.plain)?;
            // SAFETY: the type is that of the function in `plain`.
            let add = unsafe { plain.function::<extern "C" fn(u64, u64) -> u64>("bench_add")? };
            let mut sum = 0;
            for i in 0..count {
                sum = add(black_box(sum), i);
            }
            black_box(sum);
            plain.close()?;
        }
        Subject::Pair => {
            let module = peers::load_in_place(&files.module)?;
            module.exports().pairs(count).context("the module panicked")?;
            peers::unload(module)?;
        }
        Subject::HostPair => {
            workload::pairs(count);
        }
        Subject::Load => {
            let module = Changing::new(files.module.clone())?;
            for _ in 0..count {
                peers::unload(peers::load_in_place(module.change()?)?)?;
            }
        }
        Subject::LoadAgain => {
            files.settle();
            for _ in 0..count {
                peers::unload(peers::load_in_place(&files.module)?)?;
            }
        }
        Subject::Verify => {
            let module = Changing::new(files.module.clone())?;
            for _ in 0..count {
                peers::verify_in_place(module.change()?)?;
            }
        }
        Subject::PlainLoad => {
            for _ in 0..count {
                Plain::load(&files.plain)?.close()?;
            }
        }
    }
    Ok(())
}

/// The instructions of one of each, by the difference between more and fewer.
pub fn measure(files: &Files, effort: &Effort, results: &mut Results) -> Result<()> {
    if !exists("valgrind") {
        eprintln!("there is no valgrind: instructions are not counted");
        return Ok(());
    }
    let loads = if effort.rounds == Effort::FULL.rounds { 200 } else { 20 };
    let plain_load = "dlopen and dlclose by libloading";
    let rows = [
        (
            "instructions-call",
            "export call, u64 in and out",
            "call through a libloading symbol",
            1_000,
            [Subject::Call, Subject::PlainCall],
        ),
        (
            "instructions-pair",
            "alloc and free pair in the module",
            "the same in the host",
            10_000,
            [Subject::Pair, Subject::HostPair],
        ),
        (
            "instructions-load",
            "first load in place and unload, without the kernel",
            plain_load,
            loads,
            [Subject::Load, Subject::PlainLoad],
        ),
        (
            "instructions-load-again",
            "load of a verified module in place and unload, without the kernel",
            plain_load,
            loads,
            [Subject::LoadAgain, Subject::PlainLoad],
        ),
        (
            "instructions-verify",
            "verifying a module, without the kernel",
            plain_load,
            loads,
            [Subject::Verify, Subject::PlainLoad],
        ),
    ];
    for (id, what, against, count, subjects) in rows {
        let [ours, theirs] = subjects.map(|subject| per_one(files, subject, count));
        results.rows.push(Row {
            id,
            what: what.to_owned(),
            against: against.to_owned(),
            unit: Unit::Instructions,
            ours: ours?,
            theirs: theirs?,
            rounds: 1,
        });
    }
    Ok(())
}

fn per_one(files: &Files, subject: Subject, count: u64) -> Result<f64> {
    // The first ones do what is done once.
    let (few, many) = (count, 2 * count);
    let instructions = |count| total(files, subject, count);
    Ok((instructions(many)? - instructions(few)?) / (many - few) as f64)
}

/// The instructions of a process of this program.
fn total(files: &Files, subject: Subject, count: u64) -> Result<f64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let output = repeat_command(valgrind, files, subject, count)?.output().context("cannot run valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    let refs = text.lines().find_map(|line| line.split_once("refs:").map(|(_, count)| count));
    let refs = refs.filter(|_| output.status.success());
    let refs = refs.with_context(|| format!("valgrind counts no instructions: {text}"))?;
    Ok(refs.trim().replace(',', "").parse()?)
}

/// Has `tool` run a process of this program that does something so often.
pub fn repeat_command(mut tool: Command, files: &Files, subject: Subject, count: u64) -> Result<Command> {
    let subject = subject.to_possible_value().context("every subject has a name")?;
    tool.arg(std::env::current_exe()?).args(["repeat", "--modules"]).arg(&files.built);
    tool.args([subject.get_name(), &count.to_string()]);
    Ok(tool)
}

/// Whether a tool is installed.
pub fn exists(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok()
}
