//! Fixtures are built by cargo, found by name, and explain themselves when they do not compile.

use std::fs;
use std::path::Path;
use std::process::Command;

use relib_harness::Profile;
use relib_harness::cargo::Variant;
use relib_harness::fixtures::{FixtureError, Fixtures};

/// A root with a fixture workspace of these packages: name, lines for its manifest, source.
fn root(packages: &[(&str, &str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let modules = root.path().join("test-modules");
    fs::create_dir(&modules).unwrap();
    fs::write(modules.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\n").unwrap();
    for (name, extra, source) in packages {
        let folder = modules.join(name);
        fs::create_dir_all(folder.join("src")).unwrap();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n\
             {extra}\n"
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        fs::write(folder.join("src/lib.rs"), source).unwrap();
    }
    root
}

/// The dynamic section of a library, asked of `readelf` since that needs no loading.
fn dynamic(library: &Path) -> String {
    let output = Command::new("readelf").arg("-d").arg(library).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn plain_and_flagged_fixtures_are_built_apart_and_found_by_name() {
    let nodelete = "[package.metadata.relib-fixture]\nrustflags = [\"-Clink-arg=-Wl,-z,nodelete\"]";
    let abort = "[package.metadata.relib-fixture]\nprofile-panic = \"abort\"";
    let feature = "[features]\nextra = []\n[package.metadata.relib-fixture]\nfeatures = [\"extra\"]";
    let lacks_feature = "#[cfg(not(feature = \"extra\"))] compile_error!(\"not extra\");";
    let source = "#[unsafe(no_mangle)]\npub extern \"C\" fn answer() -> u32 { 42 }\n";
    let panics = "#[cfg(panic = \"unwind\")] compile_error!(\"not abort\");";
    let root = root(&[
        ("plain-one", "", source),
        ("renamed", "name = \"other_library\"", source),
        ("no-delete", nodelete, source),
        ("aborting", abort, panics),
        ("featured", feature, lacks_feature),
    ]);
    let fixtures = Fixtures::build(root.path(), Profile::Debug, &Variant::default()).unwrap();
    assert_eq!(
        fixtures.names().collect::<Vec<_>>(),
        ["aborting", "featured", "no_delete", "plain_one", "renamed"]
    );
    let plain = fixtures.path("plain-one").unwrap();
    assert!(plain.starts_with(root.path().join("target/fixtures/debug")), "{}", plain.display());
    assert!(fixtures.path("renamed").unwrap().ends_with("libother_library.so"));
    assert!(dynamic(fixtures.path("no_delete").unwrap()).contains("NODELETE"));
    assert!(!dynamic(plain).contains("NODELETE"));

    let release = Fixtures::build(root.path(), Profile::Release, &Variant::default()).unwrap();
    assert!(release.path("plain_one").unwrap().starts_with(root.path().join("target/fixtures/release")));
}

#[test]
fn a_fixture_that_does_not_compile_shows_what_the_compiler_said() {
    let root = root(&[("broken", "", "fn f() -> u32 { \"text\" }")]);
    let error = Fixtures::build(root.path(), Profile::Debug, &Variant::default()).unwrap_err();
    assert!(matches!(error, FixtureError::Build { .. }));
    let text = relib_harness::failure::chain(&error);
    assert!(
        text.contains("error[E0308]: mismatched types") && text.contains("broken/src/lib.rs:1"),
        "{text}"
    );
}

#[test]
fn a_wrong_table_and_a_wrong_manifest_are_named() {
    let root = root(&[("odd", "[package.metadata.relib-fixture]\nrustflag = []", "")]);
    let error = Fixtures::build(root.path(), Profile::Debug, &Variant::default()).unwrap_err();
    assert!(matches!(&error, FixtureError::PackageTable { package, .. } if package == "odd"), "{error}");

    fs::write(root.path().join("test-modules/Cargo.toml"), "no toml").unwrap();
    let error = Fixtures::build(root.path(), Profile::Debug, &Variant::default()).unwrap_err();
    assert!(matches!(error, FixtureError::Metadata { .. }), "{error}");
}

#[test]
fn a_root_without_fixtures_has_none() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(
        Fixtures::build(root.path(), Profile::Debug, &Variant::default()).unwrap(),
        Fixtures::none(Profile::Debug)
    );
}
