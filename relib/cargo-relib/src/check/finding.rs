//! What the records and the end of a worker mean, and what to do about it.

use anyhow::{Result, bail};
use relib_harness::process::{Contained, Exit};
use serde::Serialize;

use super::record::{Growth, GrowthKind, Record, Refusal, Step};

/// Something that people should know about a module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub kind: Kind,
    pub severity: Severity,
    pub message: String,
    /// What to do about it.
    pub advice: Option<String>,
    /// The last lines that the process wrote to standard error.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stderr: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    NotLoaded,
    ThreadsRunning,
    ThreadLocalsAlive,
    SignalHandlers,
    BeforeUnloadPanicked,
    ImageStayed,
    NotUnloaded,
    Crash,
    ProcessEnded,
    TimeLimit,
    LeakedMemory,
    LeakedDescriptors,
    LeakedThreads,
    Leaked,
    ProcessesLeft,
    FilesLeft,
    ThreadsToRelease,
    MainPanicked,
    ImportCalled,
}

impl Kind {
    /// What it means for the module, in few words.
    pub fn reason(self) -> &'static str {
        match self {
            Kind::NotLoaded => "it cannot be loaded",
            Kind::ThreadsRunning => "its threads go on running",
            Kind::ThreadLocalsAlive => "its thread-local objects stay alive",
            Kind::SignalHandlers => "it leaves signal handlers",
            Kind::BeforeUnloadPanicked => "its before_unload panics",
            Kind::ImageStayed => "its image does not leave the process",
            Kind::NotUnloaded => "it cannot be unloaded",
            Kind::Crash => "it crashes the process",
            Kind::ProcessEnded => "it ends the process",
            Kind::TimeLimit => "it does not come to an end",
            Kind::LeakedMemory => "it leaks memory that relib cannot reclaim",
            Kind::LeakedDescriptors => "it leaves descriptors open",
            Kind::LeakedThreads => "it leaves threads of other libraries",
            Kind::Leaked => "it leaves something in the process",
            Kind::ProcessesLeft => "it leaves processes",
            Kind::FilesLeft => "it leaves files",
            Kind::ThreadsToRelease => "threads that call it have to be released",
            Kind::MainPanicked => "its `main` panics",
            Kind::ImportCalled => "its `main` calls imports",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The module is not safe to reload.
    Unsafe,
    /// Worth knowing.
    Note,
}

impl Finding {
    fn new(kind: Kind, message: impl Into<String>) -> Finding {
        let severity = match kind {
            Kind::MainPanicked | Kind::ImportCalled | Kind::FilesLeft | Kind::ThreadsToRelease => {
                Severity::Note
            }
            _ => Severity::Unsafe,
        };
        Finding { kind, severity, message: message.into(), advice: None, stderr: String::new() }
    }

    fn advise(mut self, advice: &str) -> Finding {
        self.advice = Some(advice.to_owned());
        self
    }

    pub fn is_unsafe(&self) -> bool {
        self.severity == Severity::Unsafe
    }

    /// Whether the process held more memory afterwards.
    pub fn is_growth(&self) -> bool {
        self.kind == Kind::LeakedMemory
    }

    /// Whether the module did not come through its cycles, so that more of them say nothing new.
    pub fn ends_the_check(&self) -> bool {
        let is_leak = matches!(
            self.kind,
            Kind::LeakedMemory
                | Kind::LeakedDescriptors
                | Kind::LeakedThreads
                | Kind::Leaked
                | Kind::ProcessesLeft
        );
        self.is_unsafe() && !is_leak
    }
}

/// Everything that one worker came to.
///
/// # Errors
/// When the worker failed by itself, which says nothing about the module.
pub fn all(records: &[Record], ended: &Contained) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut refused = false;
    let mut descriptors: &[String] = &[];
    for record in records {
        match record {
            Record::Failed { error } => bail!("a contained process failed: {error}"),
            Record::LoadFailed { error } => {
                refused = true;
                findings.push(Finding::new(Kind::NotLoaded, error));
            }
            Record::UnloadFailed { kind, error } => {
                refused = true;
                findings.push(refusal(*kind, error));
            }
            Record::MainPanicked { text } => {
                findings.push(main_panicked(text));
            }
            Record::NeedsRelease { error } => {
                // The same in each cycle, and the number of the thread is another.
                if !findings.iter().any(|finding: &Finding| finding.kind == Kind::ThreadsToRelease) {
                    findings.push(Finding::new(Kind::ThreadsToRelease, error));
                }
            }
            Record::Unloaded(reclaimed) => descriptors = &reclaimed.descriptors,
            Record::Grown { cycles, leaks } => {
                // The ledger knows more about descriptors than the process as seen from outside.
                let leaks: Vec<&Growth> = leaks
                    .iter()
                    .filter(|leak| descriptors.is_empty() || leak.kind != GrowthKind::Descriptors)
                    .collect();
                for of_a_kind in leaks.chunk_by(|a, b| a.kind == b.kind) {
                    let texts: Vec<String> =
                        of_a_kind.iter().map(|leak| repeated(&leak.text, leak.count)).collect();
                    findings.push(growth(
                        of_a_kind[0].kind,
                        format!("{}, after {cycles} cycles", texts.join(", ")),
                    ));
                }
            }
            Record::Step { .. } | Record::Finished => {}
        }
    }
    if !descriptors.is_empty() {
        findings.push(growth(
            GrowthKind::Descriptors,
            format!("left open by each unload: {}", descriptors.join(", ")),
        ));
    }
    // A module that could not be unloaded may do anything when its process ends; that is known to be unsafe already.
    if !refused {
        findings.extend(end_of_process(records, ended));
    }
    if !ended.survivors.is_empty() {
        let names: Vec<String> =
            ended.survivors.chunk_by(|a, b| a == b).map(|same| repeated(&same[0], same.len())).collect();
        findings.push(
            Finding::new(
                Kind::ProcessesLeft,
                format!("processes that the module started outlive it: {}", names.join(", ")),
            )
            .advise("wait for them, or end them in before_unload"),
        );
    }
    // What a process had no chance to remove was not left by the module.
    if !ended.left.is_empty() && !refused && ended.exit == Exit::Code(0) {
        findings.push(Finding::new(
            Kind::FilesLeft,
            format!("it leaves temporary files: {}", ended.left.join(", ")),
        ));
    }
    Ok(findings)
}

fn repeated(text: &str, count: usize) -> String {
    if count > 1 { format!("{text} ({count} times)") } else { text.to_owned() }
}

fn refusal(kind: Refusal, error: &str) -> Finding {
    let kind = match kind {
        Refusal::Threads => Kind::ThreadsRunning,
        Refusal::ThreadLocals => Kind::ThreadLocalsAlive,
        Refusal::SignalHandlers => Kind::SignalHandlers,
        Refusal::BeforeUnload => Kind::BeforeUnloadPanicked,
        Refusal::ImageStayed => Kind::ImageStayed,
        Refusal::Other => Kind::NotUnloaded,
    };
    // The error's own text says what to do.
    Finding::new(kind, error)
}

fn main_panicked(text: &str) -> Finding {
    if text.contains("is not connected: the module was loaded without a host that provides it") {
        return Finding::new(Kind::ImportCalled, format!("`main` {text}"))
            .advise("a check provides no imports: what `main` does from there on was not checked");
    }
    Finding::new(Kind::MainPanicked, format!("`main` {text}")).advise(
        "the panic was caught, and a host would have gone on; what `main` does from there on was not checked",
    )
}

fn growth(kind: GrowthKind, message: String) -> Finding {
    match kind {
        GrowthKind::Memory => Finding::new(Kind::LeakedMemory, message).advise(
            "something keeps memory that does not come from the module's own allocator, such as C code in it or in a \
             library that it uses: free it in before_unload",
        ),
        GrowthKind::Descriptors => Finding::new(Kind::LeakedDescriptors, message)
            .advise("close them in before_unload, or have them closed by LoadOptions::descriptors"),
        GrowthKind::Threads => Finding::new(Kind::LeakedThreads, message)
            .advise("another library started them for the module: have it stop them in before_unload"),
        GrowthKind::Other => {
            Finding::new(Kind::Leaked, message).advise("give it back in before_unload")
        }
    }
}

/// What is wrong with the way in which a process ended that was not stopped on purpose.
fn end_of_process(records: &[Record], ended: &Contained) -> Option<Finding> {
    let last = records.last();
    let (place, advice) = match last {
        Some(Record::Finished) => (
            "when the process ended, after the last unload".to_owned(),
            "something of the module was still registered to run, such as an atexit handler: unregister it in \
             before_unload, or do not register it",
        ),
        _ => {
            let step = records.iter().rev().find_map(|record| match record {
                Record::Step { cycle, step } => Some((*cycle, *step)),
                _ => None,
            });
            match step {
                Some((cycle, step)) => {
                    (format!("while {}, in cycle {cycle}", step.doing()), advice(step, cycle))
                }
                None => ("before the module was loaded".to_owned(), "run the check again"),
            }
        }
    };
    let finding = match &ended.exit {
        Exit::Code(0) if matches!(last, Some(Record::Finished)) => return None,
        Exit::Code(code) => Finding::new(
            Kind::ProcessEnded,
            format!("the process ended with exit code {code} {place}: the module ended its host"),
        )
        .advise("return an error instead of calling std::process::exit"),
        Exit::Signal(name) => {
            Finding::new(Kind::Crash, format!("the process was killed by {name} {place}")).advise(advice)
        }
        Exit::Timeout(limit) => Finding::new(
            Kind::TimeLimit,
            format!("the process was stopped after {} s, {place}", limit.as_secs()),
        )
        .advise(
            "a module cannot be unloaded while its code runs: have `main` return, leave it out of the check by \
             --no-main, or give it more time by --time-limit",
        ),
    };
    Some(Finding { stderr: ended.stderr.clone(), ..finding })
}

fn advice(step: Step, cycle: u64) -> &'static str {
    match step {
        Step::Load if cycle > 1 => {
            "it was loaded before without this: look for what an earlier instance has left behind in the process"
        }
        Step::Load => "look at its constructors and at the libraries that it needs",
        Step::Main => {
            "look for undefined behaviour in `main`; a debugger can run the same by `cargo relib check-worker`"
        }
        Step::Unload => "look at before_unload, and at the destructors of statics and thread-locals",
    }
}
