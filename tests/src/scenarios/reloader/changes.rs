//! How a file changes: by an edit and a build, in each way of writing it, or behind links.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};

use fixture_interface::reload::ModuleVersion;
use relib::{OldModule, ReloadError, ReloadEvent, Reloader};
use relib_harness::{Failure, OrFail, Run};

use super::{Builds, PATIENCE, refused, reloaded, start, warm_up};
use crate::platform::{DELETED_AT_ONCE, delete, persist, symlink};
use crate::project::Project;
use crate::support::reason;

pub fn edits(run: &mut Run) -> Result<(), Failure> {
    const SOURCES: [&str; 2] = ["module/src/lib.rs", "interface/src/reload.rs"];
    let project = Project::copy(run, "reload-version", "reloader-edits")?;
    let path = project.build()?;
    warm_up::<ModuleVersion>(run, &path)?;
    let change = |from: &str, to: &str| {
        project.edit(SOURCES[0], &format!("        {from}\n"), &format!("        {to}\n"))
    };
    let version =
        |reloader: &Reloader<ModuleVersion>| reloader.exports().version().or_fail("version panicked");

    let mut reloader = start::<ModuleVersion>(&path)?;
    run.observe("first build", version(&reloader)?);
    change("1", "2")?;
    project.build()?;
    run.observe("meanwhile", version(&reloader)?);
    let event = reloaded(&mut reloader)?;
    run.check(matches!(event.old, OldModule::Unloaded(_)), "the old module should be unloaded")?;
    run.observe("an edit", version(&reloader)?);

    change("2", "broken")?;
    run.check(project.build().is_err(), "the build should fail")?;
    run.observe("a broken edit", version(&reloader)?);
    change("broken", "3")?;
    project.build()?;
    // The failed build has left no event, or it would come first.
    run.check_eq("generation", reloaded(&mut reloader)?.generation, 3)?;
    run.observe("a mended edit", version(&reloader)?);

    for file in SOURCES {
        project.edit(file, "fn version() -> u32", "fn version() -> u64")?;
    }
    project.build()?;
    let ReloadError::Load(error) = refused(&mut reloader)? else {
        return Err(Failure::new("the build should not load"));
    };
    run.observe("another interface", reason(&error, &path.canonicalize()?)?);
    run.observe("meanwhile", version(&reloader)?);
    for file in SOURCES {
        project.edit(file, "fn version() -> u64", "fn version() -> u32")?;
    }
    change("3", "4")?;
    project.build()?;
    reloaded(&mut reloader)?;
    run.observe("the same interface again", version(&reloader)?);
    reloader.unload()?;
    Ok(())
}

/// Each way in which a file can change.
pub fn files(run: &mut Run) -> Result<(), Failure> {
    let directory = run.scratch_dir().join("target");
    fs::create_dir(&directory)?;
    let Builds { path: other, library, .. } = Builds::of(run, "reload-version")?;
    let path = directory.join("libmodule.so");
    fs::rename(other, &path)?;
    let mut builds = Builds { path: path.clone(), library, next: b'0' };
    warm_up::<ModuleVersion>(run, &path)?;
    let mut reloader = start::<ModuleVersion>(&path)?;
    let write = |bytes: &[u8]| persist(|| fs::write(&path, bytes));
    let expect = |run: &mut Run, key: &str, reloader: &mut Reloader<ModuleVersion>| -> Result<(), Failure> {
        let generation = reloader.generation() + 1;
        run.check_eq(key, reloaded(reloader)?.generation, generation)?;
        run.check_eq(key, reloader.exports().version(), Some(1))?;
        run.observe(key, "reloaded");
        Ok(())
    };

    builds.put_next()?;
    expect(run, "renamed into place", &mut reloader)?;

    delete(&path)?;
    write(&builds.next()?)?;
    expect(run, "deleted and written", &mut reloader)?;

    let beside = directory.join("another-name.so");
    fs::write(&beside, builds.next()?)?;
    delete(&path)?;
    fs::hard_link(&beside, &path)?;
    expect(run, "linked into place", &mut reloader)?;

    persist(|| fs::rename(&path, &beside))?;
    write(&builds.next()?)?;
    expect(run, "renamed away and written", &mut reloader)?;

    write(&builds.next()?)?;
    expect(run, "written over", &mut reloader)?;

    // What was seen is not a new build; were it one, the next event would be of another generation.
    let same = fs::read(&path)?;
    write(&same)?;

    // A linker that writes slowly and the middle last: beginning and end fit together, and there is a hole between them.
    let whole = builds.next()?;
    let mut file = persist(|| File::create(&path))?;
    let hole = whole.len() / 4..whole.len() / 2;
    file.write_all(&whole[..hole.start])?;
    file.seek(SeekFrom::Start(hole.end as u64))?;
    file.write_all(&whole[hole.end..])?;
    let incomplete = |event: &ReloadEvent| matches!(event, ReloadEvent::Incomplete { .. });
    run.check(reloader.wait(PATIENCE), "a long write should be told")?;
    let events: Vec<_> = reloader.poll().collect();
    run.check(events.iter().all(incomplete), format!("the file should be incomplete: {events:?}"))?;
    run.observe("half written, open", "waits");
    file.seek(SeekFrom::Start(hole.start as u64))?;
    file.write_all(&whole[hole])?;
    drop(file);
    expect(run, "written to the end", &mut reloader)?;

    let whole = builds.next()?;
    write(&whole[..whole.len() / 2])?;
    let error = refused(&mut reloader)?;
    run.check(error.to_string().contains("still being written"), error.to_string())?;
    run.observe("half written, closed", "refused");
    write(&whole[..whole.len() / 3])?;
    // Not told twice: the next event is the reload.
    write(&whole)?;
    expect(run, "whole", &mut reloader)?;

    write(b"#!/bin/sh\n")?;
    let ReloadError::Load(error) = refused(&mut reloader)? else {
        return Err(Failure::new("the file should not load"));
    };
    run.observe("no library", reason(&error, &path)?);
    builds.put_next()?;
    expect(run, "a library again", &mut reloader)?;

    if DELETED_AT_ONCE {
        fs::remove_dir_all(&directory)?;
        run.check_eq("without a file", reloader.exports().version(), Some(1))?;
        fs::create_dir(&directory)?;
        builds.put_next()?;
        expect(run, "the directory deleted and made again", &mut reloader)?;
    }
    reloader.unload()?;
    Ok(())
}

/// A path that leads through links, to the directory and to the file.
pub fn links(run: &mut Run) -> Result<(), Failure> {
    let mut builds = Builds::of(run, "reload-version")?;
    let scratch = run.scratch_dir().to_owned();
    let (real, linked) = (scratch.join("real"), scratch.join("linked"));
    fs::create_dir_all(real.join("debug"))?;
    symlink(&real, &linked)?;
    let path = linked.join("debug/libmodule.so");
    fs::write(&path, builds.next()?)?;
    warm_up::<ModuleVersion>(run, &path)?;

    let mut reloader = start::<ModuleVersion>(&path)?;
    for key in ["a linked directory", "a linked directory, again"] {
        // As cargo does it: for a moment there is no file.
        fs::remove_file(&path)?;
        builds.put_next()?;
        fs::hard_link(&builds.path, &path)?;
        run.observe(key, format!("generation {}", reloaded(&mut reloader)?.generation));
    }
    fs::remove_dir_all(real.join("debug"))?;
    fs::create_dir(real.join("debug"))?;
    fs::write(&path, builds.next()?)?;
    run.observe("its subdirectory made again", format!("generation {}", reloaded(&mut reloader)?.generation));
    reloader.unload()?;

    let link = scratch.join("link.so");
    symlink(&path, &link)?;
    let mut reloader = start::<ModuleVersion>(&link)?;
    fs::write(&path, builds.next()?)?;
    run.observe("where a linked file leads", format!("generation {}", reloaded(&mut reloader)?.generation));
    builds.put_next()?;
    let beside = scratch.join("beside.so");
    symlink(&builds.path, &beside)?;
    fs::rename(&beside, &link)?;
    run.observe("a link to another file", format!("generation {}", reloaded(&mut reloader)?.generation));
    builds.put_next()?;
    run.observe("where it leads now", format!("generation {}", reloaded(&mut reloader)?.generation));
    reloader.unload()?;
    Ok(())
}
