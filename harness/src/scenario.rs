//! What a scenario is: a row of the catalogue (`tests/src/scenarios/`).
//!
//! This module must not know how a scenario is run or how its outcome is judged. What its body gets to work with is in
//! [`run`](crate::run).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::axes::{Feature, Platform, Profile};
use crate::failure::Failure;
use crate::limits::Limits;
use crate::outcome::Ending;
use crate::run::Run;

/// What a scenario is expected to come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// It ends as `ok`.
    Pass,
    /// A documented limit: on these platforms it ends as something else than `ok`, and the footnote says why.
    Limit {
        /// What it ends as, by [`Ending::class`](crate::outcome::Ending::class).
        class: &'static str,
        /// The text of the footnote in the support table.
        footnote: &'static str,
        /// The platforms that have the limit; it passes on the others.
        platforms: &'static [Platform],
    },
}

/// The body of a scenario.
pub type Body = fn(&mut Run) -> Result<(), Failure>;

/// One load / call / unload story, run in a process of its own, with one recorded outcome.
///
/// Made by [`Scenario::new`] and const builder methods, so that a catalogue is a table of one or a few lines each:
///
/// ```
/// use relib_harness::{Failure, Feature, Run, Scenario};
///
/// fn adds(run: &mut Run) -> Result<(), Failure> {
///     run.observe("sum", 1 + 2);
///     run.check_eq("sum", 1 + 2, 3)
/// }
///
/// pub const SCENARIOS: &[Scenario] = &[
///     Scenario::new("calls-adds", Feature::ExportsImports, adds).time_limit_secs(10),
/// ];
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// The stable name: of the snapshot, of the `#[test]`, of the footnote.
    pub id: &'static str,
    /// The row of the support table.
    pub feature: Feature,
    /// The profiles it runs in.
    pub profiles: &'static [Profile],
    /// The platforms it exists on.
    pub platforms: &'static [Platform],
    /// Why it does not exist on the others.
    pub platforms_reason: Option<&'static str>,
    /// What its process may use up.
    pub limits: Limits,
    /// What it is expected to come to.
    pub expected: Expected,
    /// Why it leaves something behind on purpose, if it does.
    pub leaves: Option<&'static str>,
    /// Why it cannot run under a sanitizer, if it cannot.
    pub unsanitizable: Option<&'static str>,
    /// The body.
    pub run: Body,
}

impl Scenario {
    /// A scenario for both profiles and all platforms, with the default limits, which is expected to pass.
    pub const fn new(id: &'static str, feature: Feature, run: Body) -> Scenario {
        Scenario {
            id,
            feature,
            profiles: Profile::ALL,
            platforms: Platform::ALL,
            platforms_reason: None,
            limits: Limits::DEFAULT,
            expected: Expected::Pass,
            leaves: None,
            unsanitizable: None,
            run,
        }
    }

    /// Only these profiles.
    pub const fn profiles(mut self, profiles: &'static [Profile]) -> Scenario {
        self.profiles = profiles;
        self
    }

    /// Only Linux, for this reason.
    pub const fn linux_only(self, reason: &'static str) -> Scenario {
        self.only_on(&[Platform::LinuxX86_64], reason)
    }

    /// Only Windows, for this reason.
    pub const fn windows_only(self, reason: &'static str) -> Scenario {
        self.only_on(&[Platform::WindowsX86_64], reason)
    }

    const fn only_on(mut self, platforms: &'static [Platform], reason: &'static str) -> Scenario {
        self.platforms = platforms;
        self.platforms_reason = Some(reason);
        self
    }

    /// Another time limit.
    pub const fn time_limit_secs(mut self, secs: u64) -> Scenario {
        self.limits.time = Some(Duration::from_secs(secs));
        self
    }

    /// Another address-space limit in bytes; `None` for none.
    pub const fn address_space(mut self, bytes: Option<u64>) -> Scenario {
        self.limits.address_space = bytes;
        self
    }

    /// A documented limit on every platform: it ends as this class, such as `abort`, and the footnote says why.
    pub const fn limit(self, class: &'static str, footnote: &'static str) -> Scenario {
        self.limit_on(Platform::ALL, class, footnote)
    }

    /// A documented limit on some platforms.
    pub const fn limit_on(
        mut self,
        platforms: &'static [Platform],
        class: &'static str,
        footnote: &'static str,
    ) -> Scenario {
        self.expected = Expected::Limit { class, footnote, platforms };
        self
    }

    /// It leaves something behind, for this reason, so that it takes no baseline. Every other scenario fails without
    /// one, since nothing would look for leaks.
    pub const fn leaves(mut self, reason: &'static str) -> Scenario {
        self.leaves = Some(reason);
        self
    }

    /// Left out of runs under a sanitizer, for this reason.
    pub const fn not_under_sanitizer(mut self, reason: &'static str) -> Scenario {
        self.unsanitizable = Some(reason);
        self
    }

    /// Everything but the body, as plain data.
    pub fn info(&self) -> ScenarioInfo {
        let limit = match self.expected {
            Expected::Pass => None,
            Expected::Limit { class, footnote, platforms } => Some(Limit {
                class: class.to_owned(),
                footnote: footnote.to_owned(),
                platforms: platforms.to_vec(),
            }),
        };
        ScenarioInfo {
            id: self.id.to_owned(),
            feature: self.feature,
            profiles: self.profiles.to_vec(),
            platforms: self.platforms.to_vec(),
            platforms_reason: self.platforms_reason.map(str::to_owned),
            limits: self.limits,
            limit,
            leaves: self.leaves.map(str::to_owned),
            unsanitizable: self.unsanitizable.map(str::to_owned),
        }
    }
}

/// [`Expected::Limit`] as plain data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What the scenario ends as.
    pub class: String,
    /// The text of the footnote.
    pub footnote: String,
    /// The platforms that have the limit.
    pub platforms: Vec<Platform>,
}

/// What the `list` command of a runner prints of a [`Scenario`]; enough to run it and to judge its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioInfo {
    /// See [`Scenario::id`].
    pub id: String,
    /// See [`Scenario::feature`].
    pub feature: Feature,
    /// See [`Scenario::profiles`].
    pub profiles: Vec<Profile>,
    /// See [`Scenario::platforms`].
    pub platforms: Vec<Platform>,
    /// See [`Scenario::platforms_reason`].
    pub platforms_reason: Option<String>,
    /// See [`Scenario::limits`].
    pub limits: Limits,
    /// See [`Scenario::expected`].
    pub limit: Option<Limit>,
    /// See [`Scenario::leaves`].
    pub leaves: Option<String>,
    /// See [`Scenario::unsanitizable`].
    #[serde(default)]
    pub unsanitizable: Option<String>,
}

impl ScenarioInfo {
    fn limit_on(&self, platform: Platform) -> Option<&Limit> {
        self.limit.as_ref().filter(|limit| limit.platforms.contains(&platform))
    }

    /// What the scenario is expected to end as there.
    pub fn expected_class(&self, platform: Platform) -> &str {
        self.limit_on(platform).map_or(Ending::Ok.class(), |limit| &limit.class)
    }

    /// The footnote of the limit that this scenario has on this platform.
    pub fn footnote(&self, platform: Platform) -> Option<&str> {
        self.limit_on(platform).map(|limit| limit.footnote.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_on_one_platform_passes_on_the_other() {
        fn body(_: &mut Run) -> Result<(), Failure> {
            Ok(())
        }
        let info = Scenario::new("x", Feature::SelfTest, body)
            .limit_on(&[Platform::WindowsX86_64], "failed", "no signals there")
            .info();
        assert_eq!(info.expected_class(Platform::LinuxX86_64), "ok");
        assert_eq!(info.expected_class(Platform::WindowsX86_64), "failed");
        assert_eq!(info.footnote(Platform::LinuxX86_64), None);
        assert_eq!(info.footnote(Platform::WindowsX86_64), Some("no signals there"));
    }
}
