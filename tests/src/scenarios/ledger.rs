//! Scenarios of the feature "Leaked resources".

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;

use fixture_interface::ledger::{ModuleAtExit, ModuleDescriptors, ModuleKeys, ModuleMappings, ModuleSignals};
use relib::{Descriptor, DescriptorPolicy, LoadOptions, Module};
use relib_harness::{Failure, Feature, OrFail, Run, Scenario};

use crate::support::{EventLog, load, load_file, load_with, refused, take_events, warm_up};

/// The scenarios, in the order of the catalogue.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("fd-leak", Feature::Ledger, fd_leak).linux_only(),
    Scenario::new("fd-handed-over", Feature::Ledger, fd_handed_over).linux_only(),
    Scenario::new("mmap-leak", Feature::Ledger, mmap_leak).linux_only(),
    Scenario::new("pthread-key-leak", Feature::Ledger, pthread_key_leak).linux_only(),
    Scenario::new("signal-handler", Feature::Ledger, signal_handler).linux_only(),
    Scenario::new("atexit-handler", Feature::Ledger, atexit_handler).linux_only(),
];

/// A file for modules to open.
fn file(run: &Run, name: &str) -> Result<PathBuf, Failure> {
    let path = run.scratch_dir().join(name);
    std::fs::write(&path, name)?;
    Ok(path)
}

/// What a list of descriptors shows, without their numbers, which the process inherits a part of.
fn shown(descriptors: &[Descriptor]) -> String {
    let items: Vec<String> =
        descriptors.iter().map(|descriptor| format!("{} {}", descriptor.kind, descriptor.target)).collect();
    items.join(", ")
}

fn is_open(descriptor: i32) -> bool {
    // SAFETY: the call accepts any number and changes nothing.
    unsafe { libc::fcntl(descriptor, libc::F_GETFD) != -1 }
}

fn fd_leak(run: &mut Run) -> Result<(), Failure> {
    const FIXTURE: &str = "fd-leak";
    warm_up::<ModuleDescriptors>(run, FIXTURE)?;
    let path = file(run, "opened")?;
    let path = path.to_string_lossy();
    let leak = |module: &Module<ModuleDescriptors>| -> Result<Vec<i32>, Failure> {
        module.exports().open_and_close(&path).or_fail("open_and_close panicked")?;
        let mut numbers = module.exports().leak(&path).or_fail("leak panicked")?;
        numbers.sort_unstable();
        let listed: Vec<i32> = module.descriptors().iter().map(|descriptor| descriptor.number).collect();
        if numbers != listed {
            return Err(Failure::new(format!("the module leaked {numbers:?}, and {listed:?} are listed")));
        }
        Ok(numbers)
    };

    let module = load::<ModuleDescriptors>(run, FIXTURE)?;
    let numbers = leak(&module)?;
    let report = module.unload()?;
    run.observe("reported", shown(&report.descriptors));
    run.check(!report.descriptors_closed, "the default is to close nothing")?;
    run.check(numbers.iter().all(|number| is_open(*number)), "a descriptor was closed, by default")?;
    for number in numbers {
        // SAFETY: the module that opened the descriptor is gone and has left it to the host.
        drop(unsafe { OwnedFd::from_raw_fd(number) });
    }

    let close = LoadOptions::new().descriptors(DescriptorPolicy::Close);
    let module = load_with::<ModuleDescriptors>(run, FIXTURE, &close)?;
    let numbers = leak(&module)?;
    let report = module.unload()?;
    run.observe("closed", shown(&report.descriptors));
    run.check(report.descriptors_closed, "the report should say that they are closed")?;
    run.check(!numbers.iter().any(|number| is_open(*number)), "a descriptor is still open")?;

    let refuse = LoadOptions::new().descriptors(DescriptorPolicy::Refuse);
    let module = load_with::<ModuleDescriptors>(run, FIXTURE, &refuse)?;
    let numbers = leak(&module)?;
    let (error, module) = refused(module)?;
    let mut text = error.to_string();
    for number in &numbers {
        text = text.replacen(&format!(" {number} ("), " <number> (", 1);
    }
    run.observe("refused", text);
    run.check(numbers.iter().all(|number| is_open(*number)), "a refused unload has closed a descriptor")?;
    module.exports().close().or_fail("close panicked")?;
    let report = module.unload()?;
    run.observe("left after the module has closed them", report.descriptors.len());
    Ok(())
}

fn fd_handed_over(run: &mut Run) -> Result<(), Failure> {
    const FIXTURE: &str = "fd-leak";
    warm_up::<ModuleDescriptors>(run, FIXTURE)?;
    let (theirs, ours) = (file(run, "theirs")?, file(run, "ours")?);
    let options = LoadOptions::new().descriptors(DescriptorPolicy::Close);
    let module = load_with::<ModuleDescriptors>(run, FIXTURE, &options)?;
    let number = module.exports().hand_over(&theirs.to_string_lossy()).or_fail("hand_over panicked")?;
    // SAFETY: the module has given the descriptor up.
    drop(unsafe { OwnedFd::from_raw_fd(number) });
    // The system gives out the lowest free number, which is the one that was just closed.
    let file = File::open(ours)?;
    run.check_eq("the number of the host's file", file.as_raw_fd(), number)?;
    // Another one, which the module borrows, as for redirecting the standard output for a while.
    let borrowed = File::open(&theirs)?;
    let restored = module.exports().redirect_and_restore(borrowed.as_raw_fd(), &theirs.to_string_lossy());
    restored.or_fail("redirect_and_restore panicked")?;
    let report = module.unload()?;
    run.observe("descriptors that the unload closed", report.descriptors.len());
    run.check(is_open(number), "the unload has closed a descriptor of the host's")?;
    run.check(is_open(borrowed.as_raw_fd()), "the unload has closed a descriptor that the module put back")
}

fn mmap_leak(run: &mut Run) -> Result<(), Failure> {
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

fn is_mapped(address: usize) -> bool {
    let mut residency = 0;
    // SAFETY: the call writes one byte for one page, and accepts any address.
    unsafe { libc::mincore(std::ptr::without_provenance_mut(address), 1, &mut residency) == 0 }
}

fn pthread_key_leak(run: &mut Run) -> Result<(), Failure> {
    const FIXTURE: &str = "pthread-key-leak";
    warm_up::<ModuleKeys>(run, FIXTURE)?;
    let module = load::<ModuleKeys>(run, FIXTURE)?;
    module.exports().make_and_delete(10).or_fail("make_and_delete panicked")?;
    module.exports().leak(20).or_fail("leak panicked")?;
    module.release_thread()?;
    run.observe(
        "destructors run for this thread",
        module.exports().destroyed().or_fail("destroyed panicked")?,
    );
    let report = module.unload()?;
    run.observe("keys reclaimed", report.keys);
    // There are 1024 keys in a process.
    for _ in 0..100 {
        let module = load::<ModuleKeys>(run, FIXTURE)?;
        module.exports().leak(100).or_fail("there are no more keys")?;
        module.unload()?;
    }
    run.observe("keys leaked in 100 cycles", 100 * 100);
    Ok(())
}

fn signal_handler(run: &mut Run) -> Result<(), Failure> {
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

fn atexit_handler(run: &mut Run) -> Result<(), Failure> {
    let path = run.fixture("atexit-handler");
    let cycle = || -> Result<Vec<String>, Failure> {
        let module = load_file::<ModuleAtExit>(&path, &LoadOptions::new(), EventLog)?;
        module.exports().register().or_fail("register panicked")?;
        if !take_events().is_empty() {
            return Err(Failure::new("a function was called before the unload"));
        }
        module.unload()?;
        Ok(take_events())
    };
    cycle()?;
    run.baseline();
    run.observe("called by the unload, in this order", cycle()?.join(", "));
    Ok(())
}
