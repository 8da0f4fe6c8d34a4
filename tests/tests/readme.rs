//! The README's example is the one in `examples/hello`, to the letter, and works as the README says.

use std::fs;
use std::process::Command;

use relib_tests::root;

/// The fenced block that follows a marker.
fn block_after<'a>(readme: &'a str, marker: &str) -> &'a str {
    let (_, rest) = readme.split_once(marker).unwrap_or_else(|| panic!("README.md lacks `{marker}`"));
    let (fence, rest) =
        rest.trim_start().split_once('\n').unwrap_or_else(|| panic!("nothing follows `{marker}`"));
    assert!(fence.starts_with("```"), "no code follows `{marker}`");
    rest.split_once("```").unwrap_or_else(|| panic!("the code after `{marker}` has no end")).0
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

#[test]
fn shows_the_example_as_it_is() {
    let readme = readme();
    let mut lines = 0;
    for path in ["shared/src/lib.rs", "module/src/lib.rs", "host/src/main.rs"]
        .map(|it| format!("examples/hello/{it}"))
    {
        let code = fs::read_to_string(root().join(&path)).unwrap();
        assert_eq!(
            block_after(&readme, &format!("<!-- example: {path} -->")),
            code,
            "README.md does not show {path}"
        );
        lines += code.lines().count();
    }
    assert!(lines <= 40, "the example has grown to {lines} lines");
}

#[test]
fn shows_what_the_example_prints() {
    let example = root().join("examples/hello");
    // Built where everything else is built, so that the dependencies are there; the host looks for the module below
    // its working directory.
    let build = escargot::CargoBuild::new()
        .manifest_path(example.join("Cargo.toml"))
        .target_dir(root().join("target"))
        .arg("--workspace");
    build.exec().unwrap().for_each(|message| drop(message.unwrap()));
    let output = Command::new(root().join("target/debug/host")).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(block_after(&readme(), "<!-- example-output: examples/hello -->"), printed);
}
