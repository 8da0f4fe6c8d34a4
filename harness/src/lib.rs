//! The test harness of relib: builds fixtures, runs scenarios in processes of their own, classifies how they ended,
//! redacts what varies and compares the rest with snapshots.
//!
//! It must not know relib itself: a scenario is a function that returns or does not return, a fixture is a file that
//! cargo built. That is what lets the harness be tested with scenarios that crash on purpose (`tests/`).
//!
//! The way of one scenario:
//!
//! 1. [`fixtures`] builds every fixture of the workspace `test-modules` in one cargo call per profile;
//! 2. [`process`] starts the runner executable for one scenario, with limits, and waits for its end;
//! 3. [`runner`] (in that process) runs the body with a [`run::Run`], compares [`probe`]s, writes the report;
//! 4. [`outcome`] says how it ended, [`redact`] takes out what differs between two runs;
//! 5. [`snapshot`] compares with the accepted outcome; [`matrix`] does all of it for many scenarios in parallel;
//! 6. [`table`] turns the accepted outcomes into the support table of the README.

pub mod axes;
pub mod cargo;
pub mod checkout;
pub mod failure;
pub mod fixtures;
pub mod limits;
pub mod matrix;
pub mod outcome;
pub mod probe;
pub mod process;
pub mod redact;
pub mod report;
pub mod run;
pub mod runner;
pub mod scenario;
pub mod snapshot;
pub mod table;

pub use axes::{Feature, Platform, Profile};
pub use failure::{Failure, OrFail};
pub use fixtures::Fixtures;
pub use limits::Limits;
pub use run::Run;
pub use scenario::{Scenario, ScenarioInfo};
