//! Scenarios of the feature "Load checks".

use fixture_interface::load::ModuleCounter;
use relib::{LoadOptions, Module};
use relib_harness::{Failure, Feature, OrFail, Scenario};

use crate::platform;

mod builds;
mod damaged;
mod failed;
mod instances;
mod paths;
mod replaced;

use builds::{load_other_relib, load_other_rustc, load_other_target, load_unconnected};
use damaged::{load_c_library, load_empty, load_mutated, load_other_machine, load_text, load_truncated};
use failed::{load_dependency_missing, load_failed_then_good};
use instances::{load_parallel, load_permanent, load_twice};
use paths::{
    load_bare_name, load_directory, load_linked_library, load_long_path, load_missing, load_relative,
    load_symlink, load_unicode_folder, load_unicode_path,
};
use replaced::{load_changed, load_in_place_locked, load_replaced_in_place, load_replaced_meanwhile};

/// The scenarios, in the order of the catalogue.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("load-missing", Feature::Load, load_missing),
    Scenario::new("load-directory", Feature::Load, load_directory),
    Scenario::new("load-text", Feature::Load, load_text),
    Scenario::new("load-empty", Feature::Load, load_empty),
    Scenario::new("load-c-library", Feature::Load, load_c_library),
    Scenario::new("load-other-machine", Feature::Load, load_other_machine),
    // Some thousand loads.
    Scenario::new("load-truncated", Feature::Load, load_truncated).time_limit_secs(1200),
    // Each of the 20,000 mutations that `test-matrix --mutations` may ask for takes some milliseconds.
    Scenario::new("load-mutated", Feature::Load, load_mutated).time_limit_secs(1200),
    Scenario::new("load-other-rustc", Feature::Load, load_other_rustc),
    Scenario::new("load-unconnected", Feature::Load, load_unconnected),
    Scenario::new("load-other-relib", Feature::Load, load_other_relib),
    Scenario::new("load-other-target", Feature::Load, load_other_target),
    Scenario::new("load-twice", Feature::Load, load_twice),
    Scenario::new("load-permanent", Feature::Load, load_permanent).leaves("the module, which is permanent"),
    Scenario::new("load-replaced-in-place", Feature::Load, load_replaced_in_place),
    Scenario::new("load-replaced-meanwhile", Feature::Load, load_replaced_meanwhile),
    Scenario::new("load-changed", Feature::Load, load_changed),
    Scenario::new("load-failed-then-good", Feature::Load, load_failed_then_good),
    Scenario::new("load-dependency-missing", Feature::Load, load_dependency_missing).leaves(
        "under Wine: the image that could not be loaded, which Wine keeps mapped without relib as well",
    ),
    Scenario::new("load-parallel", Feature::Load, load_parallel),
    Scenario::new("load-symlink", Feature::Load, load_symlink)
        .linux_only("Windows asks for a right to make links that few have, and Wine makes none"),
    Scenario::new("load-relative", Feature::Load, load_relative),
    Scenario::new("load-unicode-path", Feature::Load, load_unicode_path),
    Scenario::new("load-unicode-folder", Feature::Load, load_unicode_folder),
    Scenario::new("load-long-path", Feature::Load, load_long_path),
    Scenario::new("load-bare-name", Feature::Load, load_bare_name),
    Scenario::new("load-linked-library", Feature::Load, load_linked_library).windows_only(
        "elsewhere a file says in which folders its libraries are, and names them by absolute paths",
    ),
    Scenario::new("load-in-place-locked", Feature::Load, load_in_place_locked).windows_only(
        "elsewhere the system lets anybody change or delete the file of a library that is loaded",
    ),
];

/// The fixture of most scenarios: leaves a trace when its constructor runs, and counts.
const FIXTURE: &str = "load-constructor";

fn defaults() -> LoadOptions {
    LoadOptions::new()
}

fn for_other_machine(bytes: &mut [u8]) {
    let (place, machine) = platform::machine_place(bytes);
    bytes[place..place + 2].copy_from_slice(&machine.to_le_bytes());
}

fn next(module: &Module<ModuleCounter>) -> Result<u64, Failure> {
    module.exports().next().or_fail("next panicked")
}
