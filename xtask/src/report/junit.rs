//! For CI servers: JUnit XML on standard output, one suite per profile.

use std::io::stdout;

use anyhow::{Context as _, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use relib_harness::Profile;
use relib_harness::matrix::JobResult;
use relib_harness::snapshot::Verdict;

use super::Summary;

pub fn print(summary: &Summary<'_>) -> Result<()> {
    let mut report = Report::new("relib");
    for &profile in Profile::ALL {
        let results: Vec<&JobResult> =
            summary.results.iter().filter(|result| result.profile == profile).collect();
        if results.is_empty() {
            continue;
        }
        let mut suite = TestSuite::new(format!("{}/{profile}", summary.platform));
        suite.set_time(results.iter().map(|result| result.finished.took).sum());
        suite.add_test_cases(results.into_iter().map(|result| case(summary, result)));
        report.add_test_suite(suite);
    }
    report.serialize(stdout()).context("cannot write JUnit XML to standard output")
}

fn case(summary: &Summary<'_>, result: &JobResult) -> TestCase {
    let status = match summary.reason(result) {
        None => TestCaseStatus::success(),
        Some(reason) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let found = result.finished.outcome.render();
            let description = match &result.verdict {
                Verdict::Different { expected, .. } => format!("accepted:\n{expected}\n\nfound:\n{found}"),
                Verdict::New | Verdict::Same => found,
            };
            status
                .set_type(result.finished.outcome.ending.class())
                .set_message(reason)
                .set_description(description);
            status
        }
    };
    let mut case = TestCase::new(result.scenario.id.as_str(), status);
    case.set_classname(result.scenario.feature.id()).set_time(result.finished.took);
    if !result.finished.stderr.is_empty() {
        case.set_system_err(result.finished.stderr.as_str());
    }
    case
}
