//! Writes the table and `docs/BENCHMARKS.md`.

use std::fmt::Write as _;

use crate::goals::goal;
use crate::machine;
use crate::results::{FunctionCost, Results, Row};

/// The table of comparisons.
pub fn table(results: &Results) -> String {
    let mut text = String::from(
        "| what | against | relib | other | ratio | goal | | rounds |\n|---|---|---:|---:|---:|---:|---|---:|\n",
    );
    for row in &results.rows {
        let (goal, verdict) = judged(row);
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {goal} | {verdict} | {} |",
            row.what,
            row.against,
            row.unit.show(row.ours),
            row.unit.show(row.theirs),
            ratio(row.ratio()),
            row.rounds,
        )
        .expect("a text can be written to");
    }
    text
}

/// The goal of a row, and whether it is reached.
fn judged(row: &Row) -> (String, &'static str) {
    match goal(row.id) {
        None => (String::new(), ""),
        Some(goal) => (format!("≤ {}", ratio(goal)), if row.ratio() <= goal { "✅" } else { "❌" }),
    }
}

fn ratio(ratio: f64) -> String {
    if ratio < 0.1 { format!("1/{:.0}", 1.0 / ratio) } else { format!("{ratio:.2}") }
}

/// The whole of `docs/BENCHMARKS.md`.
pub fn document(results: &Results) -> String {
    let mut text = String::from(
        "# Benchmarks\n\nrelib beside what a user would pick instead, on one machine in one run. `cargo xtask bench` \
         measures again and writes this file; nothing in it is typed by hand but the explanations at its end, \
         which come from `benches/explanations.md`. The ratio is relib's median divided by the other one's: less is \
         better, and 1 is as fast.\n\n",
    );
    text += &table(results);
    if !cfg!(feature = "wasmtime") {
        text += "\nThis run was without wasmtime.\n";
    }
    text += "\n## Other numbers\n\n| what | value |\n|---|---:|\n";
    for note in &results.notes {
        writeln!(text, "| {} | {} |", note.what, note.unit.show(note.value))
            .expect("a text can be written to");
    }
    text += &profile(results);
    text += "\n## What grows\n\n";
    for series in &results.series {
        writeln!(text, "![{}](benchmarks/{}.svg)\n", series.title, series.id)
            .expect("a text can be written to");
    }
    text += "## Method\n\n\
         - One process, release build. The sides of a comparison take turns, and another one goes first in each round, so \
         that what changes meanwhile changes for all. Each number is the median of its rounds.\n\
         - All modules do the same: `benches/workload`. What they allocate is timed inside, without the call.\n\
         - Each side of a comparison has at least 200 turns.\n\
         - Turns are short, so that most are over before another process gets the processor.\n\
         - Peers are the published crates, in a workspace of their own (`benches`) with its own lock file.\n\
         - A verified module is one whose file the process has loaded before, and that has not changed since: relib does not \
         verify it again, and the copy that is left of it serves again. For a first load the file is changed before each \
         turn, as far as the system tells: its time is set, outside of what is timed. Both are compared with the goals for \
         loads. The second load of a file takes some microseconds longer than the first, to have it remembered.\n\
         - A padded file has bytes behind its end that the loader never reads: only copying it costs more.\n\
         - Instructions are those of user mode as `valgrind --tool=callgrind` counts them, by the difference between more \
         and fewer repetitions; an instruction that repeats itself, as in clearing memory, counts once for each byte. What \
         the kernel does for a system call or a page fault is not among them.\n\
         - The default mode is measured, with every check.\n\n## Machine\n\n";
    for (name, value) in machine::description() {
        writeln!(text, "- {name}: {value}").expect("a text can be written to");
    }
    text += &explanations(results);
    text
}

/// Where a load and an unload spend what they take.
fn profile(results: &Results) -> String {
    let mut text = String::new();
    if let Some(most) = results.profile.first() {
        text += "\n## Profile of a first load in place and an unload\n\n\
             Instructions of each function together with those that it calls, so that a line is part of the ones that \
             lead to it.\n\n| function | instructions | of the load |\n|---|---:|---:|\n";
        for FunctionCost { name, instructions } in &results.profile {
            let share = 100.0 * instructions / most.instructions;
            writeln!(text, "| `{name}` | {instructions:.0} | {share:.0} % |")
                .expect("a text can be written to");
        }
    }
    if !results.system_calls.is_empty() {
        text += "\n| system call | relib | dlopen and dlclose |\n|---|---:|---:|\n";
        for (name, [ours, theirs]) in &results.system_calls {
            writeln!(text, "| `{name}` | {ours:.0} | {theirs:.0} |").expect("a text can be written to");
        }
    }
    text
}

/// What `explanations.md` says about the rows that are above their goals.
fn explanations(results: &Results) -> String {
    let missed: Vec<&Row> =
        results.rows.iter().filter(|row| goal(row.id).is_some_and(|goal| row.ratio() > goal)).collect();
    if missed.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n## What is above its goal\n");
    for row in missed {
        // Each section of the file starts with the name of the row that it is about.
        let section = include_str!("../../explanations.md").split("\n## ").find_map(|section| {
            let (title, body) = section.split_once('\n')?;
            (title.trim() == row.id).then_some(body.trim())
        });
        let section = section.unwrap_or("Not explained yet.");
        let title = format!("{}, against {}", row.what, row.against);
        write!(text, "\n### {title}: {}\n\n{section}\n", ratio(row.ratio()))
            .expect("a text can be written to");
    }
    text
}
