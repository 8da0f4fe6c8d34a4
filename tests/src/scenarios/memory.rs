//! Scenarios of the feature "Memory deallocation".

use fixture_interface::memory::ModuleLeak;
use relib_harness::{Failure, Feature, OrFail, Run, Scenario};

use crate::support::{load, warm_up};

/// The scenarios, in the order of the catalogue.
pub const SCENARIOS: &[Scenario] = &[Scenario::new("leak-forget", Feature::Memory, leak_forget)];

fn leak_forget(run: &mut Run) -> Result<(), Failure> {
    let idle = warm_up::<ModuleLeak>(run, "leak-forget")?.memory;
    let module = load::<ModuleLeak>(run, "leak-forget")?;
    module.exports().leak(1000, 4096).or_fail("leak panicked")?;
    let report = module.unload()?;
    run.observe("blocks reclaimed", report.memory.blocks - idle.blocks);
    run.observe("bytes reclaimed", report.memory.bytes - idle.bytes);
    Ok(())
}
