//! What exists on Linux only: mappings in parts, and signals.

use fixture_interface::ledger::{ModuleMappings, ModuleSignals};
use relib_harness::{Failure, OrFail, Run};

use crate::platform::is_mapped;
use crate::support::{load, refused, warm_up};

pub fn mmap_leak(run: &mut Run) -> Result<(), Failure> {
    const FIXTURE: &str = "mmap-leak";
    const PAGE: usize = 4096;
    warm_up::<ModuleMappings>(run, FIXTURE)?;
    let module = load::<ModuleMappings>(run, FIXTURE)?;
    let before = module.mappings().len();
    let exports = module.exports();
    let map = |pages| -> Result<usize, Failure> {
        let address = exports.map(pages).or_fail("map panicked")?;
        exports.touch(address, pages).or_fail("touch panicked")?;
        Ok(address)
    };
    let returned = map(3)?;
    exports.unmap(returned, 3).or_fail("unmap panicked")?;
    run.observe("mappings after one was made and given back", module.mappings().len() - before);

    let whole = map(5)?;
    let partly = map(16)?;
    exports.unmap(partly + 4 * PAGE, 8).or_fail("unmap panicked")?;
    let resized = exports.resize(map(2)?, 2, 1000).or_fail("resize panicked")?;
    exports.touch(resized, 1000).or_fail("touch panicked")?;
    // The host takes the hole that the module has left in its own mapping.
    let hole = std::ptr::without_provenance_mut::<libc::c_void>(partly + 6 * PAGE);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: a new mapping where there is none.
    let ours = unsafe { libc::mmap(hole, PAGE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    run.check_eq("the address of the host's page", ours, hole)?;
    let ours = ours.cast::<u8>();
    // SAFETY: the page was just mapped.
    unsafe { ours.write_volatile(7) };

    let report = module.unload()?;
    let pages = |address: usize| {
        let mapping = report.mappings.iter().find(|mapping| mapping.address == address);
        mapping.map_or(0, |mapping| mapping.len / PAGE)
    };
    run.observe("pages of the whole mapping", pages(whole));
    run.observe("pages before the hole", pages(partly));
    run.observe("pages behind the hole", pages(partly + 12 * PAGE));
    run.observe("pages of the resized mapping", pages(resized));
    run.check_eq("mappings in the report", report.mappings.len(), before + 4)?;
    for address in [whole, partly, partly + 12 * PAGE, resized] {
        run.check(!is_mapped(address), "a leaked mapping is still there")?;
    }
    // SAFETY: the page is the host's, and still mapped if the ledger was exact; it is given up.
    let kept =
        unsafe { is_mapped(hole.addr()) && ours.read_volatile() == 7 && libc::munmap(hole, PAGE) == 0 };
    run.check(kept, "the unload has taken a page of the host's")
}

pub fn signal_handler(run: &mut Run) -> Result<(), Failure> {
    const FIXTURE: &str = "signal-handler";
    warm_up::<ModuleSignals>(run, FIXTURE)?;
    let module = load::<ModuleSignals>(run, FIXTURE)?;
    module.exports().install().or_fail("install panicked")?;
    let (error, module) = refused(module)?;
    run.observe("with handlers", error);
    for signal in [libc::SIGUSR1, libc::SIGUSR2] {
        // SAFETY: the module that handles the signal is loaded.
        unsafe { libc::raise(signal) };
    }
    run.observe("signals handled after that", module.exports().handled().or_fail("handled panicked")?);
    module.exports().restore().or_fail("restore panicked")?;
    module.unload()?;
    run.observe("without handlers", "unloaded");
    Ok(())
}
