//! Runs many scenarios in parallel, each in a process of its own, and compares each with its snapshot.
//!
//! It must not print: a caller gets each result as it comes, and all of them at the end. No scenario, however it
//! ends, ends the run.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::axes::{Platform, Profile};
use crate::failure::chain;
use crate::outcome::Outcome;
use crate::process::{self, Finished, Runner};
use crate::scenario::ScenarioInfo;
use crate::snapshot::{Snapshots, Verdict};

/// One scenario in one profile.
#[derive(Debug, Clone)]
pub struct Job {
    /// The scenario.
    pub scenario: ScenarioInfo,
    /// The profile.
    pub profile: Profile,
}

/// A job that was run.
#[derive(Debug, Clone)]
pub struct JobResult {
    /// The scenario.
    pub scenario: ScenarioInfo,
    /// The profile.
    pub profile: Profile,
    /// How it ended.
    pub finished: Finished,
    /// How that compares with its snapshot.
    pub verdict: Verdict,
    /// Whether it ended as its declaration says: as `ok`, or as its documented limit.
    pub expected: bool,
}

impl JobResult {
    /// Whether nothing about this result needs anybody's attention.
    pub fn passed(&self) -> bool {
        self.expected && self.verdict == Verdict::Same
    }
}

/// What a run of many scenarios needs.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// The runner of each profile.
    pub runners: BTreeMap<Profile, Runner>,
    /// The platform that is run.
    pub platform: Platform,
    /// The accepted outcomes.
    pub snapshots: Snapshots,
    /// Whether to accept new outcomes. One that contradicts the declaration of its scenario is never accepted: a
    /// failure becomes accepted only together with the footnote that explains it.
    pub bless: bool,
}

impl Matrix {
    /// The jobs for these scenarios: every profile that has a runner and that the scenario wants, on this platform.
    pub fn jobs(&self, scenarios: &[ScenarioInfo]) -> Vec<Job> {
        let on_platform = scenarios.iter().filter(|scenario| scenario.platforms.contains(&self.platform));
        on_platform
            .flat_map(|scenario| {
                let profiles = self.runners.keys().filter(|profile| scenario.profiles.contains(profile));
                profiles.map(|&profile| Job { scenario: scenario.clone(), profile })
            })
            .collect()
    }

    /// Runs the jobs, `parallel` at a time, and returns the results in the order of the jobs. `done` is called with
    /// each result as it comes, from the threads that run them.
    pub fn run(&self, jobs: &[Job], parallel: usize, done: &(dyn Fn(&JobResult) + Sync)) -> Vec<JobResult> {
        let next = AtomicUsize::new(0);
        let results: Mutex<BTreeMap<usize, JobResult>> = Mutex::new(BTreeMap::new());
        thread::scope(|scope| {
            for _ in 0..parallel.clamp(1, jobs.len().max(1)) {
                scope.spawn(|| {
                    while let Some((index, job)) = take(jobs, &next) {
                        let result = self.run_one(job);
                        done(&result);
                        // Poisoned only if `done` of another thread panicked; the results are whole all the same.
                        results.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(index, result);
                    }
                });
            }
        });
        results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).into_values().collect()
    }

    fn run_one(&self, job: &Job) -> JobResult {
        let finished = match self.runners.get(&job.profile) {
            Some(runner) => process::run(runner, &job.scenario),
            None => Finished {
                outcome: Outcome::not_run(format!("there is no runner for the {} profile", job.profile)),
                stderr: String::new(),
                took: std::time::Duration::ZERO,
            },
        };
        self.judge(job, finished)
    }

    fn judge(&self, job: &Job, mut finished: Finished) -> JobResult {
        let id = &job.scenario.id;
        let expected = finished.outcome.ending.class() == job.scenario.expected_class(self.platform);
        let text = finished.outcome.render();
        let compared = self.snapshots.compare(job.profile, id, &text).and_then(|verdict| {
            if self.bless && expected && verdict != Verdict::Same {
                self.snapshots.bless(job.profile, id, &text)?;
                return Ok(Verdict::Same);
            }
            Ok(verdict)
        });
        let (verdict, expected) = match compared {
            Ok(verdict) => (verdict, expected),
            Err(error) => {
                finished.outcome = Outcome::not_run(chain(&error));
                (Verdict::New, false)
            }
        };
        JobResult { scenario: job.scenario.clone(), profile: job.profile, finished, verdict, expected }
    }
}

fn take<'a>(jobs: &'a [Job], next: &AtomicUsize) -> Option<(usize, &'a Job)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    jobs.get(index).map(|job| (index, job))
}
