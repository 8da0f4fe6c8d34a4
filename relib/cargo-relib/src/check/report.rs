//! The verdict, as text and as JSON.

use relib::Inspection;
use serde_json::{Value, json};

use super::ended::Run;
use super::finding::{Finding, Kind};
use super::record::Reclaimed;
use super::worker::Story;
use crate::console::{BAD, FAINT, GOOD, NAME, WARNING, styled};

/// Said first, so that it is there if the rest takes long.
pub fn heading(module: &Inspection) {
    anstream::println!("{} {}", styled(NAME, "checking"), module.path.display());
    anstream::println!("  {}", styled(FAINT, "each line is a process of its own"));
}

/// What one process came to.
pub fn line(run: &Run) {
    let bad = run.findings.iter().filter(|finding| finding.is_unsafe()).count();
    let result = if bad == 0 { styled(GOOD, "ok") } else { styled(BAD, "not ok") };
    let cycles = if run.cycles == 1 { "cycle " } else { "cycles" };
    anstream::println!("  {:>5} {cycles}: {}: {result}", run.cycles, run.story.title());
}

/// Everything that the check has found out.
pub struct Verdict {
    file: String,
    runs: Vec<Run>,
    /// Each once, though several processes may have come to it.
    findings: Vec<Finding>,
    main_called: bool,
}

impl Verdict {
    pub fn of(module: &Inspection, calls_main: bool, runs: Vec<Run>) -> Verdict {
        let mut findings: Vec<Finding> = Vec::new();
        for run in runs.iter().filter(|run| run.story != Story::CAllocations) {
            // Another process that came to the same says nothing new.
            let known: Vec<Kind> = findings.iter().map(|finding| finding.kind).collect();
            findings.extend(run.findings.iter().filter(|finding| !known.contains(&finding.kind)).cloned());
        }
        let with_c_allocations = runs.iter().find(|run| run.story == Story::CAllocations);
        if with_c_allocations.is_some_and(|run| run.findings.is_empty()) {
            for finding in findings.iter_mut().filter(|finding| finding.kind == Kind::LeakedMemory) {
                finding.advice = Some(
                    "C code in the module allocates it and does not free it: with \
                     LoadOptions::reclaim_c_allocations, tried here, nothing remains"
                        .to_owned(),
                );
            }
        }
        let main_called = calls_main && module.main.is_some();
        Verdict { file: module.path.display().to_string(), runs, findings, main_called }
    }

    pub fn is_safe(&self) -> bool {
        !self.findings.iter().any(Finding::is_unsafe)
    }

    /// What the verdict is not about.
    fn restriction(&self) -> &'static str {
        let has_stopped = |finding: &Finding| matches!(finding.kind, Kind::MainPanicked | Kind::ImportCalled);
        if !self.main_called {
            ", as far as loading and unloading go: nothing of the module was called"
        } else if self.findings.iter().any(has_stopped) {
            ", as far as `main` went"
        } else {
            ""
        }
    }

    fn reclaimed(&self) -> Option<&Reclaimed> {
        self.runs.first().and_then(|run| run.reclaimed.as_ref())
    }

    pub fn print(&self) {
        if let Some(reclaimed) = self.reclaimed() {
            anstream::println!("  reclaimed by relib at an unload: {}", describe(reclaimed));
        }
        for finding in &self.findings {
            let label = if finding.is_unsafe() { styled(BAD, "problem:") } else { styled(WARNING, "note:") };
            anstream::println!("{label} {}", finding.message);
            if let Some(advice) = &finding.advice {
                anstream::println!("    {advice}");
            }
            if !finding.stderr.is_empty() {
                anstream::println!("    {}", styled(FAINT, "its last words:"));
                finding.stderr.lines().for_each(|line| anstream::println!("    {FAINT}| {line}{FAINT:#}"));
            }
        }
        match self.findings.iter().find(|finding| finding.is_unsafe()) {
            None => anstream::println!("{}{}", styled(GOOD, "safe to reload"), self.restriction()),
            Some(finding) => {
                anstream::println!("{}: {}", styled(BAD, "not safe to reload"), finding.kind.reason());
            }
        }
    }

    pub fn json(&self) -> Value {
        let runs: Vec<Value> = self
            .runs
            .iter()
            .map(|run| {
                json!({
                    "story": run.story.id(),
                    "description": run.story.title(),
                    "cycles": run.cycles,
                    "reclaimed": run.reclaimed,
                    "findings": run.findings,
                })
            })
            .collect();
        let reason = self.findings.iter().find(|finding| finding.is_unsafe());
        json!({
            "file": self.file,
            "safe": self.is_safe(),
            "main_called": self.main_called,
            "reason": reason.map(|finding| finding.kind.reason()),
            "findings": self.findings,
            "processes": runs,
        })
    }
}

fn describe(reclaimed: &Reclaimed) -> String {
    let Reclaimed { memory_bytes, memory_blocks, mappings, keys, .. } = reclaimed;
    let mut parts = Vec::new();
    if *memory_blocks > 0 {
        parts.push(format!("{memory_bytes} bytes in {}", counted(*memory_blocks, "block")));
    }
    if *mappings > 0 {
        parts.push(counted(*mappings, "mapping"));
    }
    if *keys > 0 {
        parts.push(counted(*keys, "thread-specific key"));
    }
    if parts.is_empty() { "nothing was left".to_owned() } else { parts.join(", ") }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
