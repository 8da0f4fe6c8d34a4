//! Many modules loaded at the same time.

use anyhow::Result;

use super::turns::{median, timed};
use crate::effort::Effort;
use crate::machine::resident_memory;
use crate::peers::{self, Changing, Files};
use crate::results::{Note, Results, Series, Unit};

const MANY: usize = 100;
const SOME: usize = 10;

pub fn measure(files: &Files, _effort: &Effort, results: &mut Results) -> Result<()> {
    // As if each were another file.
    let file = Changing::new(files.another_module("many")?)?;
    // What is taken once in a process, or was given back just now, would count for the first modules.
    for module in (0..MANY).map(|_| peers::load_copy(file.change()?)).collect::<Result<Vec<_>>>()? {
        peers::unload(module)?;
    }
    let before = resident_memory();
    let (mut modules, mut loads, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for count in 1..=MANY {
        let file = file.change()?;
        let (time, module) = timed(|| peers::load_copy(file))?;
        modules.push(module);
        loads.push((count as f64, time));
        memory.push((count as f64, (resident_memory() - before) / count as f64));
    }
    for (what, count) in [("10 modules loaded at once", SOME), ("100 modules loaded together", MANY)] {
        results.notes.push(Note {
            what: format!("resident memory of each of {what}"),
            unit: Unit::Bytes,
            value: memory[count - 1].1,
        });
        results.notes.push(Note {
            what: format!("load of one of {what}"),
            unit: Unit::Nanoseconds,
            value: median(loads[..count].iter().map(|(_, time)| *time).collect()),
        });
    }
    let mut unloads = Vec::new();
    while let Some(module) = modules.pop() {
        let count = modules.len() + 1;
        unloads.push((count as f64, timed(|| peers::unload(module))?.0));
    }
    results.series.push(Series {
        id: "many-modules-time",
        title: "Time of a load and an unload, by the number of modules that are loaded",
        x: "modules",
        y: "time",
        unit: Unit::Nanoseconds,
        lines: vec![("load", loads), ("unload", unloads)],
    });
    results.series.push(Series {
        id: "many-modules-memory",
        title: "Resident memory of each module, by the number of modules that are loaded",
        x: "modules",
        y: "memory of each",
        unit: Unit::Bytes,
        lines: vec![("relib", memory)],
    });
    Ok(())
}
