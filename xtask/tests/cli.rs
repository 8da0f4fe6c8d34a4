//! `cargo xtask` as a user runs it, on a temporary root and with the self-test runner of the harness.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::Command;
use relib_harness::snapshot::Snapshots;
use relib_harness::table::{END, START};
use relib_harness::{Failure, Feature, Platform, Profile, Run, Scenario, ScenarioInfo};

fn xtask() -> Command {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
}

/// What a command printed and how it ended.
struct Output {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The runner whose scenarios end in every possible way; built once, quick, since it does not depend on relib.
fn self_test_runner() -> &'static Path {
    static RUNNER: OnceLock<PathBuf> = OnceLock::new();
    RUNNER.get_or_init(|| {
        let root = relib_harness::checkout::root().unwrap();
        let build = escargot::CargoBuild::new()
            .manifest_path(root.join("Cargo.toml"))
            .package("relib_harness")
            .bin("relib-selftest-runner");
        let artefacts = relib_harness::cargo::run(build).unwrap();
        artefacts.into_iter().find_map(|artefact| artefact.executable).unwrap()
    })
}

fn test_matrix(root: &Path, arguments: &[&str]) -> Output {
    let mut command = xtask();
    command.arg("test-matrix").arg("--root").arg(root).arg("--runner").arg(self_test_runner());
    run(command.arg("--self-tests").args(arguments))
}

#[test]
fn help_names_the_tasks_and_hides_what_is_for_tests() {
    let help = run(xtask().arg("--help"));
    assert_eq!(help.code, Some(0));
    assert!(help.stdout.contains("test-matrix") && help.stdout.contains("gen-support-table"));
    let help = run(xtask().args(["test-matrix", "--help"]));
    for option in ["--filter", "--profile", "--platform", "--jobs", "--bless", "--format"] {
        assert!(help.stdout.contains(option), "{option}");
    }
    assert!(!help.stdout.contains("--runner"));
}

#[test]
fn a_filter_that_matches_nothing_says_so() {
    let root = tempfile::tempdir().unwrap();
    let output = test_matrix(root.path(), &["--filter", "no-such-thing"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("nothing matched --filter no-such-thing"), "{}", output.stderr);
    assert_eq!(output.stdout, "");
}

/// A checkout in miniature, with one file that tidy finds fault with.
fn checkout() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("Cargo.toml", "[workspace]\nmembers = [\"high\"]\n");
    write("xtask/Cargo.toml", "");
    write("high/Cargo.toml", "[package]\nname = \"high\"\n");
    write("high/src/lib.rs", "//! The face.\nmod upper;\nmod lower;\n");
    write("high/src/upper.rs", "//! Uses what is below.\nuse crate::lower::Thing;\n");
    write("high/src/lower.rs", "//! Is used.\npub struct Thing;\n");
    write(
        "docs/rooms.toml",
        "[[crate]]\nname = \"high\"\nfolder = \"high\"\nuses = []\n\
         [[crate.room]]\nname = \"lib\"\nis = \"the face\"\nuses = []\n\
         [[crate.room]]\nname = \"upper\"\nis = \"above\"\nuses = [\"lower\"]\n\
         [[crate.room]]\nname = \"lower\"\nis = \"below\"\nuses = []\n",
    );
    write("docs/ARCHITECTURE.md", "<!-- rooms:start -->\n<!-- rooms:end -->\n");
    for arguments in [&["init", "--quiet"][..], &["add", "."]] {
        let status = std::process::Command::new("git").args(arguments).current_dir(root.path()).status();
        assert!(status.unwrap().success());
    }
    root
}

fn tidy(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = xtask();
    // As when the executable is that of another checkout with the same target folder.
    command.env_remove("CARGO_MANIFEST_DIR").current_dir(folder);
    run(command.arg("tidy").args(arguments))
}

#[test]
fn the_root_is_that_of_the_checkout_it_is_started_in() {
    let root = checkout();
    let output = tidy(&root.path().join("high/src"), &[]);
    assert!(output.stderr.contains("run `cargo xtask tidy --write`"), "{}", output.stderr);
    let output = tidy(&root.path().join("high/src"), &["--write"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    let map = fs::read_to_string(root.path().join("docs/ARCHITECTURE.md")).unwrap();
    assert!(map.contains("| `upper` | above | `lower` |"), "{map}");
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = xtask();
    command.env("CARGO_MANIFEST_DIR", root.path().join("xtask")).current_dir(elsewhere.path());
    assert_eq!(run(command.arg("tidy")).code, Some(0));
    let output = tidy(elsewhere.path(), &[]);
    assert!(output.stderr.contains("is in no checkout of relib"), "{}", output.stderr);
}

/// What tidy says of the checkout with these files changed, or added.
fn tidy_with(files: &[(&str, &str)]) -> String {
    let root = checkout();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let output = tidy(root.path(), &["--write"]);
    assert_eq!(output.code, Some(if output.stderr.is_empty() { 0 } else { 1 }));
    output.stderr
}

#[test]
fn a_wrong_import_fails_tidy_by_file_line_and_rule() {
    assert_eq!(tidy_with(&[]), "");
    let rule = "`lower` must not use `upper`; by docs/rooms.toml it may use nobody";
    for import in [
        "use crate::upper::Other;",
        "use crate::{lower, upper as other};",
        "use super::upper::*;",
        "use crate::{\n    lower, upper};",
        "fn f() { super::upper::g(); }",
        "fn f() { println!(\"{}\", crate::upper::NUMBER); }",
        "pub(crate) use crate::upper::Other;",
        "#[cfg(windows)] use crate::upper::Other;",
        "use self::super::upper::Other;",
        "fn f() { self::super::upper::g(); }",
        "mod inner { use self::super::super::upper::Other; }",
        "id! { use crate::{upper::Other}; }",
        "macro_rules! m { () => { use super::{upper::*}; }; }",
        "macro_rules! m { () => { use $crate::{lower::Thing, upper}; }; }",
    ] {
        let said =
            tidy_with(&[("high/src/lower.rs", &format!("//! Is used.\npub struct Thing;\n{import}\n"))]);
        let line = if import.contains('\n') { 4 } else { 3 };
        assert_eq!(
            said.lines().next(),
            Some(format!("high/src/lower.rs:{line}: {rule}").as_str()),
            "{import}"
        );
    }
    // A test of a room looks inside its own room only; a link in a text is no import.
    let test =
        "//! See [`crate::upper`].\n#[cfg(test)]\nmod tests {\n    use super::super::upper::Other;\n}\n";
    let said = tidy_with(&[("high/src/lower.rs", test)]);
    assert!(said.starts_with(&format!("high/src/lower.rs:4: {rule}\n")), "{said}");
    let face = "//! The face.\nmod upper;\nmod lower;\npub use upper::Other;\n";
    let said = tidy_with(&[("high/src/lib.rs", face)]);
    assert!(said.contains("high/src/lib.rs:4: `lib` must not use `upper`"), "{said}");
}

#[test]
fn the_inside_of_a_room_is_its_own() {
    let lower = ("high/src/lower.rs", "//! Is used.\nmod part;\npub use part::Thing;\n");
    let part = ("high/src/lower/part.rs", "//! A part.\npub struct Thing;\n");
    assert_eq!(tidy_with(&[lower, part]), "");
    let upper = ("high/src/upper.rs", "//! Looks inside.\nuse crate::lower::part::Thing;\n");
    let said = tidy_with(&[lower, part, upper]);
    assert!(said.contains("high/src/upper.rs:2: `upper` reaches into `lower`"), "{said}");
    for (door, is_one) in [
        ("#[cfg(test)]\npub(crate) use part::Thing;", true),
        ("#[cfg(all(test, unix))]\npub(super) use part::Thing;", true),
        ("#[cfg(not(test))]\npub use part::Thing;", false),
        ("#[cfg(test)]\nuse part::Thing;\npub struct Thing;", false),
    ] {
        let said = tidy_with(&[("high/src/lower.rs", &format!("//! Is used.\nmod part;\n{door}\n")), part]);
        let finding = "high/src/lower.rs:4: `lower` passes something on for tests only";
        assert_eq!(said.starts_with(finding), is_one, "{door}: {said}");
        assert_eq!(said.is_empty(), !is_one, "{door}: {said}");
    }
}

#[test]
fn the_table_has_all_rooms_and_no_arrow_that_nobody_needs() {
    let face = ("high/src/lib.rs", "//! The face.\nmod upper;\nmod lower;\nmod third;\n");
    let said = tidy_with(&[face, ("high/src/third.rs", "//! Is new.\n")]);
    assert!(said.contains("high has a room `third` that is not in it"), "{said}");
    let said = tidy_with(&[("high/src/upper.rs", "//! Uses nobody.\n")]);
    assert!(said.contains("`upper` of high does not use `lower`; take the arrow out"), "{said}");
    let said = tidy_with(&[("high/src/lib.rs", "//! The face.\nmod lower;\n")]);
    assert!(said.contains("high has no room `upper`; take it out"), "{said}");
    let said = tidy_with(&[("Cargo.toml", "[workspace]\nmembers = [\"high\", \"another\"]\n")]);
    assert!(said.contains("there is no crate with the folder another"), "{said}");
}

#[test]
fn files_that_import_each_other_are_found() {
    let lower = ("high/src/lower.rs", "//! Is used.\nmod a;\nmod b;\npub use a::Thing;\n");
    let a = ("high/src/lower/a.rs", "//! One.\nuse super::b::Other;\npub struct Thing;\n");
    let b = ("high/src/lower/b.rs", "//! Two.\nuse crate::lower::Thing;\npub struct Other;\n");
    let said = tidy_with(&[lower, a, b]);
    assert!(
        said.contains(
            "high/src/lower/a.rs:2 -> high/src/lower/b.rs:2: the files import each other in a circle"
        ),
        "{said}"
    );
    let alone = ("high/src/lower/b.rs", "//! Two.\npub struct Other;\n");
    assert_eq!(tidy_with(&[lower, a, alone]), "");
    // What is passed on by a `*` may be used as well, except that of a file of its own.
    let a = ("high/src/lower/a.rs", "//! One.\npub(super) use super::b::*;\npub struct Thing;\n");
    assert!(
        tidy_with(&[lower, a, b]).contains("a.rs:2 -> high/src/lower/b.rs:2: the files import each other")
    );
    let lower = ("high/src/lower.rs", "//! Is used.\nmod a;\nmod b;\npub use self::a::*;\n");
    let a = ("high/src/lower/a.rs", "//! One.\nuse super::helper;\npub struct Thing;\n");
    assert_eq!(tidy_with(&[lower, a, alone]), "");
}

#[test]
fn crates_know_only_whom_the_table_allows() {
    let table = "[[crate]]\nname = \"low\"\nfolder = \"low\"\nuses = []\n\
                 [[crate]]\nname = \"high\"\nfolder = \"high\"\nuses = []\n";
    let low = ("low/src/lib.rs", "//! Must know nobody.\npub use high::Thing;\n");
    for section in ["[dependencies]", "[dev-dependencies]", "[target.'cfg(windows)'.build-dependencies]"] {
        let manifest = format!("[package]\nname = \"low\"\n{section}\nhigh.path = \"../high\"\n");
        let said = tidy_with(&[("docs/rooms.toml", table), ("low/Cargo.toml", &manifest), low]);
        let rule = "`low` must not use `high`; by docs/rooms.toml it may use nobody";
        for place in ["low/Cargo.toml:4", "low/src/lib.rs:2"] {
            assert!(said.contains(&format!("{place}: {rule}")), "{section}: {said}");
        }
    }
}

#[test]
fn a_crate_is_known_by_its_package_and_at_its_line() {
    let table = "[[crate]]\nname = \"low\"\nfolder = \"low\"\nuses = []\n\
                 [[crate]]\nname = \"high\"\nfolder = \"high\"\nuses = []\n";
    let workspace = "[workspace]\nmembers = [\"high\"]\n[workspace.dependencies]\nh = { package = \"high\", path = \"high\" }\n";
    let low = ("low/src/lib.rs", "//! Must know nobody.\nfn f() { println!(\"{}\", h::NUMBER); }\n");
    for (dependencies, line) in [
        ("[dependencies]\nh = { package = \"high\", path = \"../high\" }\n", 3),
        ("[dependencies.h]\npackage = \"high\"\n", 2),
        ("[target.'cfg(windows)'.dev-dependencies]\nh.workspace = true\n", 3),
        ("[dependencies]\nhigher = \"1\"\n  h = { workspace = true }\n", 4),
    ] {
        let manifest = format!("[package]\n{dependencies}");
        let changed =
            [("docs/rooms.toml", table), ("Cargo.toml", workspace), ("low/Cargo.toml", &manifest), low];
        let said = tidy_with(&changed);
        let rule = "`low` must not use `high`; by docs/rooms.toml it may use nobody";
        let expected = format!("low/Cargo.toml:{line}: {rule}\nlow/src/lib.rs:2: {rule}\n");
        assert_eq!(said, expected, "{dependencies}");
    }
    // Neither does it need an arrow to one that it does not depend on.
    let arrow = "[[crate]]\nname = \"high\"\nfolder = \"high\"\nuses = [\"low\"]\n\
                 [[crate]]\nname = \"low\"\nfolder = \"low\"\nuses = []\n";
    let said = tidy_with(&[("docs/rooms.toml", arrow), ("low/Cargo.toml", "[package]\n")]);
    assert!(said.contains("`high` does not depend on `low`; take the arrow out"), "{said}");
    // What a procedural macro writes is code of those who call it.
    let quoting = ("low/src/lib.rs", "//! Must know nobody.\nfn f() { quote!(::high::NUMBER); }\n");
    assert_eq!(tidy_with(&[("docs/rooms.toml", table), ("low/Cargo.toml", "[package]\n"), quoting]), "");
}

#[test]
fn code_that_tidy_would_not_see_is_refused() {
    let unreached = "it is reached by no `mod` that tidy can follow";
    let hidden = ("high/src/lower/hidden.rs", "//! Is hidden.\n");
    for (face, finding) in [
        ("id! { mod hidden; }", format!("high/src/lower/hidden.rs: {unreached}")),
        (
            "#[cfg_attr(all(), path = \"hidden.rs\")]\nmod odd;",
            "high/src/lower.rs:3: tidy does not follow".into(),
        ),
        ("mod hidden;\ninclude!(\"x.inc\");", "high/src/lower.rs:4: `include!` brings in code".into()),
        (
            "mod hidden;\nfn f() { id!(include!(\"x.inc\")); }",
            "high/src/lower.rs:4: `include!` brings".into(),
        ),
        ("mod hidden;\nextern crate self as me;", "high/src/lower.rs:4: `me` is another name".into()),
        ("mod hidden;\nid! { extern crate self as me; }", "high/src/lower.rs:4: `me` is another name".into()),
        ("mod hidden;\nid! { use crate as me; }", "high/src/lower.rs:4: `lower` must not use `lib`".into()),
        ("#[macro_use]\nmod hidden;", "high/src/lower.rs:3: `#[macro_use]` on a module".into()),
    ] {
        let lower = format!("//! Is used.\npub struct Thing;\n{face}\n");
        let said = tidy_with(&[("high/src/lower.rs", &lower), hidden]);
        assert!(said.contains(&finding), "{face}: {said}");
    }
    let fine = "//! Is used.\npub struct Thing;\nmod hidden;\nextern crate self as high;\n\
                include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));\nconst TEXT: &str = include_str!(\"x\");\n";
    assert_eq!(tidy_with(&[("high/src/lower.rs", fine), hidden]), "");
    // Modules in modules, and beside a file that has another place, are followed as the compiler does.
    let lower = (
        "high/src/lower.rs",
        "//! Is used.\npub struct Thing;\nmod inner { mod deep; }\n#[path = \"elsewhere/odd.rs\"]\nmod other;\n",
    );
    let wrong = "//! Is inside.\nuse crate::upper::Other;\n";
    for (path, text) in [
        ("high/src/lower/inner/deep.rs", wrong),
        ("high/src/elsewhere/beside.rs", wrong),
        ("high/src/lower/inner/deep.rs", "//! Is inside.\nuse super::super::super::r#upper::Other;\n"),
    ] {
        let odd = ("high/src/elsewhere/odd.rs", "//! Is elsewhere.\nmod beside;\n");
        let others = [
            ("high/src/lower/inner/deep.rs", "//! Empty.\n"),
            ("high/src/elsewhere/beside.rs", "//! Empty.\n"),
        ];
        let said = tidy_with(&[lower, odd, others[0], others[1], (path, text)]);
        assert_eq!(
            said,
            format!("{path}:2: `lower` must not use `upper`; by docs/rooms.toml it may use nobody\n")
        );
    }
}

#[test]
fn an_unknown_format_is_refused() {
    assert_eq!(run(xtask().args(["test-matrix", "--format", "yaml"])).code, Some(2));
}

#[test]
fn new_then_blessed_then_same_then_changed() {
    let root = tempfile::tempdir().unwrap();
    let arguments = ["--filter", "self-clean", "--profile", "debug"];
    let output = test_matrix(root.path(), &arguments);
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains("ok (new)"), "{}", output.stdout);
    assert_eq!(output.stdout.lines().last(), Some("0 passed, 2 failed"));

    let output = test_matrix(root.path(), &[&arguments[..], &["--bless"]].concat());
    assert_eq!(output.code, Some(0), "{}", output.stdout);
    let output = test_matrix(root.path(), &arguments);
    assert_eq!((output.code, output.stdout.lines().last()), (Some(0), Some("2 passed, 0 failed")));

    let snapshots = Snapshots::new(root.path(), Platform::LinuxX86_64);
    snapshots.bless(Profile::Debug, "self-clean", "outcome: ok\nsum: 4\n").unwrap();
    let output = test_matrix(root.path(), &arguments);
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains("  - sum: 4\n  + sum: 3\n"), "{}", output.stdout);
    assert!(output.stdout.contains("snapshots/linux-x86_64/debug/self-clean.snap"), "{}", output.stdout);
    assert_eq!(output.stdout.lines().last(), Some("1 passed, 1 failed"));
}

#[test]
fn a_failure_is_not_blessed_unless_it_is_declared() {
    let root = tempfile::tempdir().unwrap();
    let output = test_matrix(root.path(), &["--filter", "self-segfaults", "--profile", "debug", "--bless"]);
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains("signal (unexpected)"), "{}", output.stdout);
    assert!(output.stdout.contains("it ended as signal; mend it"), "{}", output.stdout);

    let output = test_matrix(root.path(), &["--filter", "self-limited", "--profile", "debug", "--bless"]);
    assert_eq!((output.code, output.stdout.lines().last()), (Some(0), Some("1 passed, 0 failed")));
}

#[test]
fn a_scenario_that_no_profile_of_the_run_has_is_no_success() {
    let root = tempfile::tempdir().unwrap();
    let output = test_matrix(root.path(), &["--filter", "self-debug-only", "--profile", "release"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""));
}

#[test]
fn the_demo_shows_a_reload() {
    let output = run(xtask().arg("demo"));
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("returned \"welcome back, Barbara"), "{}", output.stdout);
}

#[test]
fn json_is_the_only_thing_on_standard_output() {
    let root = tempfile::tempdir().unwrap();
    let output =
        test_matrix(root.path(), &["--filter", "self-aborts", "--profile", "all", "--format", "json"]);
    assert_eq!(output.code, Some(1));
    let document: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&document["passed"], &document["failed"]), (&0.into(), &4.into()));
    assert_eq!(document["results"][0]["id"], "self-aborts");
    assert_eq!(document["results"][0]["class"], "abort");
    assert_eq!(document["results"][0]["outcome"]["ending"]["message"], "some line\nthe reason why");
    assert_eq!(document["results"][1]["profile"], "release");
}

#[test]
fn junit_has_a_case_for_each_result() {
    let root = tempfile::tempdir().unwrap();
    let output =
        test_matrix(root.path(), &["--filter", "self-fails", "--profile", "debug", "--format", "junit"]);
    assert_eq!(output.code, Some(1));
    let report = quick_junit::Report::deserialize_from_str(&output.stdout).unwrap();
    assert_eq!(report.test_suites[0].name.as_str(), "linux-x86_64/debug");
    assert_eq!(report.test_suites[0].test_cases[0].name.as_str(), "self-fails");
    assert_eq!(report.failures, 1);
}

#[test]
fn scenarios_of_the_harness_are_not_in_the_matrix() {
    let root = tempfile::tempdir().unwrap();
    let mut command = xtask();
    command.arg("test-matrix").arg("--root").arg(root.path()).arg("--runner").arg(self_test_runner());
    let output = run(&mut command);
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""));
    assert!(output.stderr.contains("no scenario runs with this filter, profile"), "{}", output.stderr);
}

/// A root with a README, two scenarios and an accepted outcome for the first.
fn table_root() -> (tempfile::TempDir, PathBuf) {
    fn body(_: &mut Run) -> Result<(), Failure> {
        Ok(())
    }
    let scenarios: Vec<ScenarioInfo> = [
        Scenario::new("leak-forget", Feature::Memory, body),
        Scenario::new("panic-main", Feature::Panics, body),
    ]
    .iter()
    .map(Scenario::info)
    .collect();
    let root = tempfile::tempdir().unwrap();
    let list = root.path().join("scenarios.json");
    fs::write(&list, serde_json::to_vec(&scenarios).unwrap()).unwrap();
    fs::write(root.path().join("README.md"), format!("# relib\n\n{START}\n{END}\n\nmore\n")).unwrap();
    accept(root.path(), "leak-forget");
    (root, list)
}

fn accept(root: &Path, id: &str) {
    for &profile in Profile::ALL {
        Snapshots::new(root, Platform::LinuxX86_64).bless(profile, id, "outcome: ok\n").unwrap();
    }
}

fn gen_support_table(root: &Path, list: &Path, arguments: &[&str]) -> Output {
    let mut command = xtask();
    command.arg("gen-support-table").arg("--root").arg(root).arg("--scenarios").arg(list);
    run(command.args(arguments))
}

#[test]
fn the_table_is_stale_until_it_is_generated() {
    let (root, list) = table_root();
    accept(root.path(), "panic-main");
    let output = gen_support_table(root.path(), &list, &["--check"]);
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.contains("is stale; run cargo xtask gen-support-table"), "{}", output.stderr);

    assert_eq!(gen_support_table(root.path(), &list, &[]).code, Some(0));
    let readme = fs::read_to_string(root.path().join("README.md")).unwrap();
    assert!(
        readme.contains("| Memory deallocation | ✅ 1/1 | — |") && readme.ends_with("\nmore\n"),
        "{readme}"
    );
    let output = gen_support_table(root.path(), &list, &["--check"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_scenario_without_a_snapshot_fails_the_check() {
    let (root, list) = table_root();
    assert_eq!(gen_support_table(root.path(), &list, &[]).code, Some(0));
    let output = gen_support_table(root.path(), &list, &["--check"]);
    assert_eq!(output.code, Some(1));
    assert!(
        output.stderr.contains("debug/panic-main.snap; run cargo xtask test-matrix --bless"),
        "{}",
        output.stderr
    );
    assert!(!output.stderr.contains("stale"), "{}", output.stderr);
}

#[test]
fn a_readme_without_markers_is_an_error_with_its_cause() {
    let (root, list) = table_root();
    fs::write(root.path().join("README.md"), "# relib\n").unwrap();
    let output = gen_support_table(root.path(), &list, &[]);
    assert_eq!(output.code, Some(1));
    assert!(output.stderr.starts_with("error: cannot put the table into"), "{}", output.stderr);
    assert!(output.stderr.contains("caused by: the support table needs the lines"), "{}", output.stderr);
}
