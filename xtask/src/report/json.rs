//! For programs: one JSON document on standard output, and nothing else there.

use std::io::{Write as _, stdout};

use anyhow::{Context as _, Result};
use relib_harness::outcome::Outcome;
use relib_harness::snapshot::Verdict;
use relib_harness::{Feature, Platform, Profile};
use serde::Serialize;

use super::Summary;

#[derive(Serialize)]
struct Document<'a> {
    platform: Platform,
    passed: usize,
    failed: usize,
    results: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    feature: Feature,
    profile: Profile,
    passed: bool,
    /// Why it did not pass.
    reason: Option<String>,
    /// `same`, `new` or `different`
    verdict: &'static str,
    class: &'static str,
    outcome: &'a Outcome,
    /// The accepted text, when it differs.
    accepted: Option<&'a str>,
    stderr: &'a str,
    milliseconds: u128,
}

pub fn print(summary: &Summary<'_>) -> Result<()> {
    let results = summary.results.iter().map(|result| {
        let (verdict, accepted) = match &result.verdict {
            Verdict::Same => ("same", None),
            Verdict::New => ("new", None),
            Verdict::Different { expected, .. } => ("different", Some(expected.as_str())),
        };
        Entry {
            id: &result.scenario.id,
            feature: result.scenario.feature,
            profile: result.profile,
            passed: result.passed(),
            reason: summary.reason(result),
            verdict,
            class: result.finished.outcome.ending.class(),
            outcome: &result.finished.outcome,
            accepted,
            stderr: &result.finished.stderr,
            milliseconds: result.finished.took.as_millis(),
        }
    });
    let document = Document {
        platform: summary.platform,
        passed: summary.passed(),
        failed: summary.failed(),
        results: results.collect(),
    };
    let mut json = serde_json::to_string_pretty(&document).context("cannot make JSON of the results")?;
    json.push('\n');
    stdout().write_all(json.as_bytes()).context("cannot write to standard output")
}
