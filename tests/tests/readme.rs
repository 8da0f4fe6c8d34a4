//! The README's example is the one in `examples/hello`, to the letter. That it works is tested with the other examples.

use std::fs;

use relib_tests::example::{Block, blocks};
use relib_tests::root;

/// The fenced block that follows a marker.
fn block_after<'a>(readme: &'a str, marker: &str) -> Block<'a> {
    let (_, rest) = readme.split_once(marker).unwrap_or_else(|| panic!("README.md lacks `{marker}`"));
    blocks(rest).into_iter().next().unwrap_or_else(|| panic!("no code follows `{marker}`"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

#[test]
fn shows_the_example_as_it_is() {
    let readme = read("README.md");
    let mut lines = 0;
    for path in ["shared/src/lib.rs", "module/src/lib.rs", "host/src/main.rs"]
        .map(|it| format!("examples/hello/{it}"))
    {
        let code = read(&path);
        let shown = block_after(&readme, &format!("<!-- example: {path} -->"));
        assert_eq!(shown.contents, code, "README.md does not show {path}");
        lines += code.lines().count();
    }
    assert!(lines <= 40, "the example has grown to {lines} lines");
}

#[test]
fn shows_what_the_example_prints() {
    let readme = read("README.md");
    let shown = block_after(&readme, "<!-- example-output: examples/hello -->");
    // Which is what it prints, by the test of the examples.
    assert!(blocks(&read("examples/hello/README.md")).contains(&shown), "README.md shows another output");
}
