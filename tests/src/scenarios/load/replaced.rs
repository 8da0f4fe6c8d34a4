//! Files that change, or make room for others, before, while or after they are loaded.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use fixture_interface::exports_imports::ModuleStrings;
use fixture_interface::load::ModuleCounter;
use relib::LoadError;
use relib_harness::{Failure, Run};

use super::{FIXTURE, defaults, for_other_machine, next};
use crate::platform;
use crate::support::{load_file, observe_refusal, scratch_copy, warm_up};

/// The dynamic loader knows libraries by their names too: a second file of that name would get the image of the first.
pub(super) fn load_replaced_in_place(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    let path = scratch_copy(run, FIXTURE, "libmodule.so", |_| ())?;
    let in_place = defaults().in_place(true);
    let counter = load_file::<ModuleCounter>(&path, &in_place, ())?;
    run.check_eq("first", next(&counter)?, 1)?;
    let other = scratch_copy(run, "calls-strings", "libother.so", |_| ())?;
    platform::put_in_place(&other, &path)?;
    observe_refusal::<ModuleStrings>(run, "while the former file is loaded", &path, &in_place)?;
    // A private copy has a name of its own.
    let strings = load_file::<ModuleStrings>(&path, &defaults(), ())?;
    run.check_eq("own", strings.exports().own("x").as_deref(), Some("x"))?;
    strings.unload()?;
    run.check_eq("second", next(&counter)?, 2)?;
    counter.unload()?;
    let strings = load_file::<ModuleStrings>(&path, &in_place, ())?;
    run.check_eq("own in place", strings.exports().own("x").as_deref(), Some("x"))?;
    strings.unload()?;
    Ok(())
}

/// Builds are put at the path of a load that makes no copy: what is mapped is what was verified, whenever that happens.
pub(super) fn load_replaced_meanwhile(run: &mut Run) -> Result<(), Failure> {
    const LOADS: usize = 300;
    const FIXTURES: [&str; 2] = ["call-main-u64", "calls-strings"];
    let path = scratch_copy(run, FIXTURES[0], "libmodule.so", |_| ())?;
    let in_place = defaults().in_place(true);
    load_file::<()>(&path, &in_place, ())?.unload()?;
    run.baseline();
    let over = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        let build = || -> Result<(), Failure> {
            let new = path.with_extension("new");
            for fixture in FIXTURES.iter().cycle().take_while(|_| !over.load(Ordering::Relaxed)) {
                std::fs::copy(run.fixture(fixture), &new)?;
                // Windows refuses while the file is mapped.
                let _ = std::fs::rename(&new, &path);
            }
            Ok(())
        };
        let builder = scope.spawn(build);
        let load = || -> Result<usize, Failure> {
            let mut loads = 0;
            for _ in 0..LOADS {
                // SAFETY: both are fixtures of this repository.
                match unsafe { in_place.load::<()>(&path, ()) } {
                    Ok(module) => {
                        module.unload()?;
                        loads += 1;
                    }
                    // There is one by the next time, or builds come too fast.
                    Err(
                        LoadError::Missing { .. }
                        | LoadError::Inaccessible { .. }
                        | LoadError::Replaced { .. },
                    ) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(loads)
        };
        let loads = load();
        over.store(true, Ordering::Relaxed);
        builder.join().unwrap()?;
        loads
    });
    run.check(result? > 0, "no load came through")?;
    load_file::<()>(&path, &in_place, ())?.unload()?;
    run.observe("loads", "each of what was verified");
    Ok(())
}

/// When the private copy that is left of a module was written, if one is left.
fn time_of_copy(run: &Run, name: &str) -> Result<Option<SystemTime>, Failure> {
    for directory in std::fs::read_dir(run.temp_dir())? {
        for entry in std::fs::read_dir(directory?.path())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(name) {
                return Ok(Some(entry.metadata()?.modified()?));
            }
        }
    }
    Ok(None)
}

/// What is remembered of a file that was loaded does not outlast a change of it, however the file looks from outside.
pub(super) fn load_changed(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    let path = scratch_copy(run, FIXTURE, "libchanging.so", |_| ())?;
    let good = std::fs::read(&path)?;
    let modified = std::fs::metadata(&path)?.modified()?;
    // Without a change of its length, and of the times that can be set.
    let write = |bytes: &[u8]| -> std::io::Result<()> {
        let mut file = std::fs::File::options().write(true).open(&path)?;
        file.write_all(bytes)?;
        file.set_modified(modified)
    };
    let ways = [("in place", defaults().in_place(true)), ("by a private copy", defaults())];
    let load_each_way = |run: &mut Run, what: &str| {
        for (way, options) in &ways {
            // The third time it is known, if it was not written just now.
            for _ in 0..3 {
                let counter = load_file::<ModuleCounter>(&path, options, ())?;
                run.check_eq(&format!("{what}, {way}"), next(&counter)?, 1)?;
                counter.unload()?;
            }
        }
        Ok::<_, Failure>(())
    };
    // A file is remembered when nobody has written it for some time.
    let settle = || std::thread::sleep(Duration::from_secs(4));

    load_each_way(run, "just written")?;
    settle();
    load_each_way(run, "long ago")?;
    let before = time_of_copy(run, "libchanging.so")?;
    std::thread::sleep(Duration::from_millis(50));
    load_file::<ModuleCounter>(&path, &defaults(), ())?.unload()?;
    let serves_again = before.is_some() && time_of_copy(run, "libchanging.so")? == before;
    run.check_eq("the private copy serves again", serves_again, platform::is_known_again(&path)?)?;
    let mut damaged = good.clone();
    for_other_machine(&mut damaged);
    for settled in [false, true] {
        write(&damaged)?;
        if settled {
            settle();
        }
        for (way, options) in &ways {
            observe_refusal::<ModuleCounter>(run, &format!("damaged, {way}"), &path, options)?;
        }
        write(&good)?;
        load_each_way(run, "mended")?;
        if !settled {
            settle();
            load_each_way(run, "mended long ago")?;
        }
    }
    settle();
    load_each_way(run, "before another one")?;
    std::fs::write(&path, std::fs::read(run.fixture("calls-strings"))?)?;
    for (way, options) in &ways {
        let strings = load_file::<ModuleStrings>(&path, options, ())?;
        run.check_eq(&format!("another one, {way}"), strings.exports().own("x").as_deref(), Some("x"))?;
        strings.unload()?;
    }
    Ok(())
}

pub(super) fn load_in_place_locked(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    let path = scratch_copy(run, FIXTURE, "module.dll", |_| ())?;
    let new = scratch_copy(run, "calls-strings", "new.dll", |_| ())?;
    let in_place = defaults().in_place(true);
    let counter = load_file::<ModuleCounter>(&path, &in_place, ())?;
    run.check_eq("first", next(&counter)?, 1)?;
    let refused: [(&str, std::io::Result<()>); 3] = [
        ("writing to the file", std::fs::write(&path, "")),
        ("deleting it", std::fs::remove_file(&path)),
        ("renaming another over it", std::fs::rename(&new, &path)),
    ];
    for (what, result) in refused {
        run.check(result.is_err(), format!("{what} should be refused"))?;
        run.observe(what, "refused by the system");
    }
    run.check_eq("second", next(&counter)?, 2)?;
    // What is left: the new file gets the place of the old one, which has another name until it is unloaded.
    let old = path.with_extension("old");
    std::fs::rename(&path, &old)?;
    std::fs::rename(&new, &path)?;
    observe_refusal::<ModuleStrings>(run, "the new file, in place", &path, &in_place)?;
    let strings = load_file::<ModuleStrings>(&path, &defaults(), ())?;
    run.check_eq("own", strings.exports().own("x").as_deref(), Some("x"))?;
    strings.unload()?;
    run.check_eq("third", next(&counter)?, 3)?;
    counter.unload()?;
    std::fs::remove_file(&old)?;
    let strings = load_file::<ModuleStrings>(&path, &in_place, ())?;
    run.check_eq("own in place", strings.exports().own("x").as_deref(), Some("x"))?;
    strings.unload()?;
    std::fs::write(&path, "")?;
    std::fs::remove_file(&path)?;
    run.observe("after the unload", "written to and deleted");
    Ok(())
}
