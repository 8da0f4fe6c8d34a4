//! What the chapter about debugging tells people to do has the effect that it shows.

use std::process::Command;

use relib_book::chapter;
use relib_tests::example::{Example, blocks};

/// Whether gdb is installed and may debug: not every container allows it.
fn gdb_works() -> bool {
    let output = Command::new("gdb").args(["-quiet", "-batch", "-ex", "run", "/bin/true"]).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("exited normally"))
}

#[test]
fn a_breakpoint_survives_a_reload() {
    if !gdb_works() {
        eprintln!("gdb is not installed, or may not debug here");
        return;
    }
    let chapter = chapter("debugging.md");
    let copy = Example::of("plugin-host");
    let printed: String = blocks(&chapter)
        .iter()
        .filter(|block| block.language == "sh")
        .map(|block| copy.run(block.contents))
        .collect();
    let mut rest = printed.as_str();
    for expected in [
        "> filter hello",
        "Breakpoint 1",
        "plugins/shout/src/lib.rs:15",
        "$1 = \"hello\"",
        "/0-libshout.so",
        "HELLO!\n",
        "> filter world",
        "Breakpoint 1",
        "plugins/shout/src/lib.rs:15",
        "$2 = \"world\"",
        "/1-libshout.so",
        "WORLD!!!\n",
        "exited normally",
    ] {
        let (_, after) =
            rest.split_once(expected).unwrap_or_else(|| panic!("no `{expected}` any more in\n{printed}"));
        rest = after;
    }
}
