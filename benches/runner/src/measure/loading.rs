//! Loading and unloading, in place and by a private copy.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{Effort, alternate, row, timed};
use crate::peers::{self, Files, Plain};
use crate::results::{Note, Results, Unit};

const KIB_500: u64 = 500 << 10;
const MIB_20: u64 = 20 << 20;

pub fn measure(files: &Files, effort: &Effort, results: &mut Results) -> Result<()> {
    let (module_500, module_20) = (files.padded_module(KIB_500)?, files.padded_module(MIB_20)?);
    // Each turn loads and unloads; the unloads are collected on the side.
    let unloads: [Unloads; 4] = Default::default();

    let mut in_place = || relib_turn(peers::load_in_place, &files.module, &unloads[0]);
    let mut copy = || relib_turn(peers::load_copy, &module_500, &unloads[1]);
    let mut plain = || plain_turn(&files.plain, &unloads[2]);
    let mut upstream = || {
        let (load, module) = timed(|| peers::load_upstream(&files.upstream))?;
        unloads[3].push(timed(|| peers::unload_upstream(module))?.0);
        Ok(load)
    };
    let rounds = effort.rounds;
    let loads = alternate(rounds, [&mut in_place, &mut copy, &mut plain, &mut upstream])?;
    let [ours, ours_copy, theirs, upstreams] = loads;
    let dlopen = "dlopen by libloading of the same code without relib";
    results.rows.push(row(
        "load-in-place",
        "load of a verified module, in place",
        dlopen,
        ours,
        theirs,
        rounds,
    ));
    results.rows.push(row(
        "load-copy-500k",
        "load by a private copy, 500 KiB",
        dlopen,
        ours_copy,
        theirs,
        rounds,
    ));
    results.rows.push(row(
        "load-upstream",
        "load of a verified module, in place",
        "upstream",
        ours,
        upstreams,
        rounds,
    ));
    let [ours, ours_copy, theirs, upstreams] = unloads.map(Unloads::median);
    let dlclose = "dlclose by libloading";
    results.rows.push(row("unload", "unload, loaded in place", dlclose, ours, theirs, rounds));
    results.rows.push(row(
        "unload-copy",
        "unload of a private copy, 500 KiB",
        dlclose,
        ours_copy,
        theirs,
        rounds,
    ));
    results.rows.push(row("unload-upstream", "unload, loaded in place", "upstream", ours, upstreams, rounds));

    let mut verify = || Ok(timed(|| peers::verify_in_place(&files.module))?.0);
    let unloads = Unloads::default();
    let mut plain = || plain_turn(&files.plain, &unloads);
    let [ours, theirs] = alternate(rounds, [&mut verify, &mut plain])?;
    results.rows.push(row(
        "verify",
        "verifying a module, before anything of it is mapped",
        dlopen,
        ours,
        theirs,
        rounds,
    ));

    for (id, path, size, rounds) in [
        ("copy-500k", &module_500, "500 KiB", rounds),
        // A turn of these takes many milliseconds.
        ("copy-20m", &module_20, "20 MiB", effort.long_rounds),
    ] {
        let target = files.scratch().join("copied");
        let mut copying = || {
            let (time, ()) = timed(|| {
                fs::copy(path, &target)?;
                Ok(())
            })?;
            fs::remove_file(&target)?;
            Ok(time)
        };
        let unloads = Unloads::default();
        let mut load = || relib_turn(peers::load_copy, path, &unloads);
        let [load, copying] = alternate(rounds, [&mut load, &mut copying])?;
        results.rows.push(row(
            id,
            &format!("load by a private copy, {size}"),
            &format!("copying the file alone, {size}"),
            load,
            copying,
            rounds,
        ));
        if size == "20 MiB" {
            results.notes.push(Note {
                what: "load by a private copy, 20 MiB, without the copying".to_owned(),
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
        super::median(self.0.into_inner())
    }
}
