//! Loading and unloading, in place and by a private copy, of files that relib knows and of files that it does not.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::turns::{alternate, median, row, timed};
use crate::effort::Effort;
use crate::peers::{self, Changing, Files, Plain};
use crate::results::{Note, Results, Unit};

const KIB_500: u64 = 500 << 10;
const MIB_20: u64 = 20 << 20;

const DLOPEN: &str = "dlopen by libloading of the same code without relib";

/// The kinds of loads: of a file that relib knows, because it was loaded before, and of one that it does not know.
pub const IN_PLACE: &str = "load of a verified module, in place";
pub const FIRST_IN_PLACE: &str = "first load of a module, in place: it is verified";
const COPY: &str = "load of a verified module by a private copy, 500 KiB";
const FIRST_COPY: &str = "first load of a module by a private copy, 500 KiB: it is copied and verified";

pub fn measure(files: &Files, effort: &Effort, results: &mut Results) -> Result<()> {
    let changing = Changing::new(files.another_module("changing")?)?;
    let changing_500 = Changing::new(files.padded_module("changing-500", KIB_500)?)?;
    let changing_20 = Changing::new(files.padded_module("changing-20", MIB_20)?)?;
    let module_500 = files.padded_module("known-500", KIB_500)?;
    files.settle();
    // Each turn loads and unloads; the unloads are collected on the side.
    let unloads: [Unloads; 6] = Default::default();

    let mut in_place = || relib_turn(peers::load_in_place, &files.module, &unloads[0]);
    let mut first_in_place = || relib_turn(peers::load_in_place, changing.change()?, &unloads[1]);
    let mut copy = || relib_turn(peers::load_copy, &module_500, &unloads[2]);
    let mut first_copy = || relib_turn(peers::load_copy, changing_500.change()?, &unloads[3]);
    let mut plain = || plain_turn(&files.plain, &unloads[4]);
    let mut upstream = || {
        let (load, module) = timed(|| peers::load_upstream(&files.upstream))?;
        unloads[5].push(timed(|| peers::unload_upstream(module))?.0);
        Ok(load)
    };
    let rounds = effort.rounds;
    let loads = alternate(
        rounds,
        [&mut in_place, &mut first_in_place, &mut copy, &mut first_copy, &mut plain, &mut upstream],
    )?;
    let [in_place, first_in_place, copy, first_copy, dlopen, upstream] = loads;
    for (id, what, ours, against, theirs) in [
        ("load-in-place", IN_PLACE, in_place, DLOPEN, dlopen),
        ("load-in-place-first", FIRST_IN_PLACE, first_in_place, DLOPEN, dlopen),
        ("load-copy-500k", COPY, copy, DLOPEN, dlopen),
        ("load-copy-500k-first", FIRST_COPY, first_copy, DLOPEN, dlopen),
        ("load-upstream", IN_PLACE, in_place, "upstream", upstream),
        ("load-upstream-first", FIRST_IN_PLACE, first_in_place, "upstream", upstream),
    ] {
        results.rows.push(row(id, what, against, ours, theirs, rounds));
    }
    let [in_place, _, copy, _, dlclose, upstream] = unloads.map(Unloads::median);
    let plain = "dlclose by libloading";
    for (id, what, ours, against, theirs) in [
        ("unload", "unload, loaded in place", in_place, plain, dlclose),
        ("unload-copy", "unload of a private copy, 500 KiB", copy, plain, dlclose),
        ("unload-upstream", "unload, loaded in place", in_place, "upstream", upstream),
    ] {
        results.rows.push(row(id, what, against, ours, theirs, rounds));
    }

    let mut verify = || {
        let path = changing.change()?;
        Ok(timed(|| peers::verify_in_place(path))?.0)
    };
    let unloads = Unloads::default();
    let mut plain = || plain_turn(&files.plain, &unloads);
    let [ours, theirs] = alternate(rounds, [&mut verify, &mut plain])?;
    results.rows.push(row(
        "verify",
        "verifying a module, before anything of it is mapped",
        DLOPEN,
        ours,
        theirs,
        rounds,
    ));

    for (id, file, size, rounds) in [
        ("copy-500k", &changing_500, "500 KiB", rounds),
        // A turn of these takes many milliseconds.
        ("copy-20m", &changing_20, "20 MiB", effort.long_rounds),
    ] {
        let target = files.scratch().join("copied");
        let mut copying = || {
            let path = file.change()?;
            let (time, _) = timed(|| Ok(fs::copy(path, &target)?))?;
            fs::remove_file(&target)?;
            Ok(time)
        };
        let unloads = Unloads::default();
        let mut load = || relib_turn(peers::load_copy, file.change()?, &unloads);
        let [load, copying] = alternate(rounds, [&mut load, &mut copying])?;
        results.rows.push(row(
            id,
            &format!("first load of a module by a private copy, {size}"),
            &format!("copying the file alone, {size}"),
            load,
            copying,
            rounds,
        ));
        if size == "20 MiB" {
            results.notes.push(Note {
                what: "first load of a module by a private copy, 20 MiB, without the copying".to_owned(),
                unit: Unit::Nanoseconds,
                value: load - copying,
            });
        }
    }
    Ok(())
}

/// Loads and unloads; returns the time of the load.
fn relib_turn(load: impl Fn(&Path) -> Result<peers::Module>, path: &Path, unloads: &Unloads) -> Result<f64> {
    let (time, module) = timed(|| load(path))?;
    unloads.push(timed(|| peers::unload(module))?.0);
    Ok(time)
}

/// As [`relib_turn`], with the library without relib.
fn plain_turn(path: &Path, unloads: &Unloads) -> Result<f64> {
    let (time, library) = timed(|| Plain::load(path))?;
    unloads.push(timed(|| library.close())?.0);
    Ok(time)
}

/// Times of unloads.
#[derive(Default)]
struct Unloads(Cell<Vec<f64>>);

impl Unloads {
    fn push(&self, time: f64) {
        let mut times = self.0.take();
        times.push(time);
        self.0.set(times);
    }

    fn median(self) -> f64 {
        median(self.0.into_inner())
    }
}
