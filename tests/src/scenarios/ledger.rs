//! Scenarios of the feature "Leaked resources".

use std::fs::File;
use std::path::PathBuf;

use fixture_interface::ledger::{
    ModuleAtExit, ModuleDescriptors, ModuleKeys, ModuleLibraries, ModuleReservations,
};
use relib::{Descriptor, DescriptorPolicy, LoadOptions, Module, OpenLibrary, Unloaded};
use relib_harness::{Failure, Feature, OrFail, Run, Scenario};

use crate::platform::{close, close_image, descriptor_of, is_mapped, is_open, mappings_of};
use crate::support::{EventLog, file_name, load, load_file, load_with, refused, take_events, warm_up};

#[cfg(target_os = "linux")]
mod linux;

/// The scenarios, in the order of the catalogue.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("fd-leak", Feature::Ledger, fd_leak),
    Scenario::new("fd-handed-over", Feature::Ledger, fd_handed_over),
    Scenario::new("mapping-leak", Feature::Ledger, mapping_leak)
        .windows_only("Linux takes mappings back in parts, which `mmap-leak` is about"),
    Scenario::new("mmap-leak", Feature::Ledger, body_on!("linux", linux::mmap_leak))
        .linux_only("Windows takes a reservation back as a whole only, which `mapping-leak` is about"),
    Scenario::new("pthread-key-leak", Feature::Ledger, pthread_key_leak),
    Scenario::new("signal-handler", Feature::Ledger, body_on!("linux", linux::signal_handler))
        .linux_only("signals are of Unix"),
    Scenario::new("atexit-handler", Feature::Ledger, atexit_handler),
    Scenario::new("library-leak", Feature::Ledger, library_leak),
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

/// The numbers of the descriptors that a module has left, in their order.
fn reported(report: &Unloaded) -> Vec<i32> {
    let mut numbers: Vec<i32> = report.descriptors.iter().map(|descriptor| descriptor.number).collect();
    numbers.sort_unstable();
    numbers
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
    run.check_eq("numbers in the report", reported(&report), numbers.clone())?;
    run.observe("reported", shown(&report.descriptors));
    run.check(!report.descriptors_closed, "the default is to close nothing")?;
    run.check(numbers.iter().all(|number| is_open(*number)), "a descriptor was closed, by default")?;
    // The module that opened them is gone and has left them to the host.
    numbers.into_iter().for_each(close);

    let close = LoadOptions::new().descriptors(DescriptorPolicy::Close);
    let module = load_with::<ModuleDescriptors>(run, FIXTURE, &close)?;
    let numbers = leak(&module)?;
    let report = module.unload()?;
    run.check_eq("numbers in the report", reported(&report), numbers.clone())?;
    run.observe("closed", shown(&report.descriptors));
    run.check(report.descriptors_closed, "the report should say that they are closed")?;
    run.check(!numbers.iter().any(|number| is_open(*number)), "a descriptor is still open")?;

    let refuse = LoadOptions::new().descriptors(DescriptorPolicy::Refuse);
    let module = load_with::<ModuleDescriptors>(run, FIXTURE, &refuse)?;
    let numbers = leak(&module)?;
    let (error, module) = refused(module)?;
    let mut text = error.to_string();
    for number in &numbers {
        // What has no name on a platform is shown without one.
        for after in [" (", ",", ";"] {
            text = text.replacen(&format!(" {number}{after}"), &format!(" <number>{after}"), 1);
        }
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
    // The module has given it up.
    close(number);
    // The system gives out the lowest free number, which is the one that was just closed.
    let file = File::open(ours)?;
    run.check_eq("the number of the host's file", descriptor_of(&file), number)?;
    // Another one, which the module borrows, as for redirecting the standard output for a while.
    let borrowed = File::open(&theirs)?;
    let restored = module.exports().redirect_and_restore(descriptor_of(&borrowed), &theirs.to_string_lossy());
    restored.or_fail("redirect_and_restore panicked")?;
    let report = module.unload()?;
    run.observe("descriptors that the unload closed", report.descriptors.len());
    run.check(is_open(number), "the unload has closed a descriptor of the host's")?;
    run.check(
        is_open(descriptor_of(&borrowed)),
        "the unload has closed a descriptor that the module put back",
    )
}

fn mapping_leak(run: &mut Run) -> Result<(), Failure> {
    const FIXTURE: &str = "mapping-leak";
    const PAGE: usize = 4096;
    warm_up::<ModuleReservations>(run, FIXTURE)?;
    let module = load::<ModuleReservations>(run, FIXTURE)?;
    let before = module.mappings().len();
    let map = |pages: usize| module.exports().map(pages * PAGE).or_fail("map panicked");
    let returned = map(3)?;
    module.exports().unmap(returned, 3 * PAGE).or_fail("unmap panicked")?;
    run.observe("mappings after one was made and given back", module.mappings().len() - before);
    let leaked = [map(5)?, map(1000)?];
    let report = module.unload()?;
    run.check_eq("mappings in the report", report.mappings.len(), before + leaked.len())?;
    for (address, pages) in leaked.into_iter().zip([5, 1000]) {
        let mapping = report.mappings.iter().find(|mapping| mapping.address == address);
        run.check_eq("pages in the report", mapping.map(|mapping| mapping.len / PAGE), Some(pages))?;
        run.check(!is_mapped(address), "a leaked mapping is still there")?;
    }
    run.observe("mappings reclaimed", leaked.len());
    Ok(())
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

fn library_leak(run: &mut Run) -> Result<(), Failure> {
    const FIXTURE: &str = "library-leak";
    warm_up::<ModuleLibraries>(run, FIXTURE)?;
    let path = run.fixture("plain-library");
    let name = file_name(&path);
    let open = |module: &Module<ModuleLibraries>| -> Result<usize, Failure> {
        let (answer, handle) = module.exports().open(&path.to_string_lossy()).or_fail("open panicked")?;
        run.check_eq("what the other library returned", answer, 42)?;
        Ok(handle)
    };
    let shown = |libraries: &[OpenLibrary]| -> Vec<(String, usize)> {
        libraries.iter().map(|library| (file_name(&library.path), library.times)).collect()
    };

    let module = load::<ModuleLibraries>(run, FIXTURE)?;
    let handle = open(&module)?;
    module.exports().close(handle).or_fail("close panicked")?;
    run.check_eq("mappings of a library that was closed", mappings_of(&name)?, 0)?;
    let report = module.unload()?;
    run.check_eq("libraries left by a module that closes them", shown(&report.libraries), vec![])?;

    let module = load::<ModuleLibraries>(run, FIXTURE)?;
    let handle = open(&module)?;
    run.check_eq("the handle for the second time", open(&module)?, handle)?;
    run.check_eq("libraries while both are open", shown(&module.libraries()), vec![(name.clone(), 2)])?;
    module.exports().close(handle).or_fail("close panicked")?;
    let report = module.unload()?;
    run.check_eq("libraries in the report", shown(&report.libraries), vec![(name.clone(), 1)])?;
    run.check(mappings_of(&name)? > 0, "the unload has closed a library that others may use")?;
    // SAFETY: the module has left its last handle to the host.
    unsafe { close_image(std::ptr::with_exposed_provenance_mut(handle)) };
    run.check_eq("mappings after the host has closed it", mappings_of(&name)?, 0)?;

    // A handle that the module has given to the host, which closes it, is nobody's any more.
    let module = load::<ModuleLibraries>(run, FIXTURE)?;
    let handle = open(&module)?;
    // SAFETY: the module makes no use of the handle.
    unsafe { close_image(std::ptr::with_exposed_provenance_mut(handle)) };
    let report = module.unload()?;
    run.check_eq("libraries that the host has closed", shown(&report.libraries), vec![])?;
    run.observe("reported", "what is open, as often as it is");
    Ok(())
}
