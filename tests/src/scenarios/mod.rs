//! The catalogue: one module per feature of the support table.

use relib_harness::Scenario;

pub mod backtraces;
pub mod exports_imports;
pub mod ledger;
pub mod load;
pub mod memory;
pub mod panics;
pub mod reload;
pub mod reloader;
pub mod thread_locals;
pub mod threads;
pub mod unload;

/// The lists of the modules, in the order of the support table.
const LISTS: [&[Scenario]; 10] = [
    exports_imports::SCENARIOS,
    memory::SCENARIOS,
    panics::SCENARIOS,
    thread_locals::SCENARIOS,
    threads::SCENARIOS,
    unload::SCENARIOS,
    load::SCENARIOS,
    reload::SCENARIOS,
    backtraces::SCENARIOS,
    ledger::SCENARIOS,
];

const COUNT: usize = {
    let mut count = 0;
    let mut list = 0;
    while list < LISTS.len() {
        count += LISTS[list].len();
        list += 1;
    }
    count
};

/// All of them. `Scenario` is `Copy`, so the array starts as copies of a placeholder and is then filled; a const
/// function is the only way to join slices in a static.
static ALL: [Scenario; COUNT] = {
    let mut all = [crate::PLACEHOLDER; COUNT];
    let mut next = 0;
    let mut list = 0;
    while list < LISTS.len() {
        let mut index = 0;
        while index < LISTS[list].len() {
            all[next] = LISTS[list][index];
            next += 1;
            index += 1;
        }
        list += 1;
    }
    all
};

/// Every scenario, in the order of the support table.
pub static SCENARIOS: &[Scenario] = &ALL;
