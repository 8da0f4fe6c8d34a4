//! Builds the fixtures of a workspace with cargo and says where their libraries are.
//!
//! It must not know what a fixture does. A fixture is a package of `<root>/test-modules` that makes a `cdylib`; host
//! and module come from separate cargo invocations, as they do for users.
//!
//! A fixture that needs other flags than the rest says so in its own manifest, and is built in an extra cargo call
//! with a target directory of its own (one for all fixtures with the same flags):
//!
//! ```toml
//! [package.metadata.relib-fixture]
//! rustflags = ["-Clink-arg=-Wl,-z,nodelete"]
//! profile-panic = "abort"
//! features = ["some-feature"]
//! ```
//!
//! Features of its own, too, take a call of their own, since cargo unifies those of all packages of one call.
//!
//! One that cannot be built for every platform says `platforms = ["linux-x86_64"]` in the same table.
//!
//! Those flags come after the ones of the environment (`RUSTFLAGS`), but take the place of `build.rustflags` in a
//! cargo configuration file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::axes::{Platform, Profile};
use crate::cargo::{self, BuildError, Variant};

/// The folder of the fixtures' workspace.
pub const FIXTURES_DIR: &str = "test-modules";

/// The built fixtures of one profile. Serialised, it is the manifest that the runner's process is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fixtures {
    profile: Profile,
    artefacts: BTreeMap<String, PathBuf>,
}

impl Fixtures {
    /// No fixtures at all, for runners whose scenarios need none.
    pub fn none(profile: Profile) -> Fixtures {
        Fixtures { profile, artefacts: BTreeMap::new() }
    }

    /// Builds every fixture of `<root>/test-modules` for this profile: one cargo call, and one more for each distinct
    /// set of extra flags. A root without fixtures has none.
    ///
    /// # Errors
    /// When cargo cannot be run or a fixture does not compile; the error holds what the compiler said.
    pub fn build(root: &Path, profile: Profile, variant: &Variant) -> Result<Fixtures, FixtureError> {
        let manifest = root.join(FIXTURES_DIR).join("Cargo.toml");
        let mut fixtures = Fixtures::none(profile);
        if !manifest.exists() {
            return Ok(fixtures);
        }
        let packages = packages(&manifest)?;
        let mut groups: BTreeMap<&Flags, Vec<&Package>> = BTreeMap::new();
        let platform = variant.platform.unwrap_or(Platform::LinuxX86_64);
        for package in packages.iter().filter(|package| package.platforms.contains(&platform)) {
            groups.entry(&package.flags).or_default().push(package);
        }
        for (flags, members) in groups {
            let target_dir = variant.target_dir(root, &flags.target_dir());
            let build = escargot::CargoBuild::new().manifest_path(&manifest).target_dir(&target_dir);
            let build = variant.apply(build, &flags.rustflags);
            fixtures.artefacts.extend(build_group(&manifest, build, profile, flags, &members)?);
        }
        Ok(fixtures)
    }

    /// The library of a fixture. `-` and `_` in the name are the same.
    ///
    /// # Errors
    /// When there is no such fixture.
    pub fn path(&self, name: &str) -> Result<&Path, FixtureError> {
        self.artefacts.get(&normalised(name)).map(PathBuf::as_path).ok_or_else(|| FixtureError::Unknown {
            name: name.to_owned(),
            known: self.artefacts.keys().cloned().collect(),
        })
    }

    /// The profile they were built in.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The names of all fixtures, with `_`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.artefacts.keys().map(String::as_str)
    }

    /// Where the manifest of a profile is kept, for the processes of scenarios and for people who run one by hand.
    pub fn manifest_path(root: &Path, profile: Profile, variant: &Variant) -> PathBuf {
        variant.target_dir(root, "fixtures").join(format!("manifest-{profile}.json"))
    }

    /// Writes the manifest, whole or not at all: several test processes may do so at once.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), FixtureError> {
        let write = || {
            let folder = path.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.flush()?;
            file.persist(path)?;
            Ok(())
        };
        write().map_err(|source| FixtureError::WriteManifest { path: path.to_owned(), source })
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// When the file cannot be read or is no manifest.
    pub fn load(path: &Path) -> Result<Fixtures, FixtureError> {
        let read = || Ok(serde_json::from_slice(&fs::read(path)?)?);
        read().map_err(|source| FixtureError::ReadManifest { path: path.to_owned(), source })
    }
}

/// Why the fixtures are not there.
#[derive(Debug)]
#[non_exhaustive]
pub enum FixtureError {
    /// `cargo metadata` could not be started.
    RunMetadata {
        /// The manifest of the fixtures' workspace.
        manifest: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// `cargo metadata` failed.
    Metadata {
        /// The manifest of the fixtures' workspace.
        manifest: PathBuf,
        /// What cargo said.
        stderr: String,
    },
    /// The output of `cargo metadata` is not what was expected.
    ParseMetadata {
        /// The manifest of the fixtures' workspace.
        manifest: PathBuf,
        /// The error of the parser.
        source: serde_json::Error,
    },
    /// A `[package.metadata.relib-fixture]` table is wrong.
    PackageTable {
        /// The package.
        package: String,
        /// The error of the parser.
        source: serde_json::Error,
    },
    /// `cargo build` failed.
    Build {
        /// The manifest of the fixtures' workspace.
        manifest: PathBuf,
        /// Why, with what the compiler said.
        source: BuildError,
    },
    /// No fixture has this name.
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The manifest could not be written.
    WriteManifest {
        /// Where to.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The manifest could not be read.
    ReadManifest {
        /// Where from.
        path: PathBuf,
        /// The error of the system or of the parser.
        source: io::Error,
    },
}

impl fmt::Display for FixtureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FixtureError::RunMetadata { manifest, .. } => {
                write!(f, "cannot run cargo metadata for {}; is cargo in PATH?", manifest.display())
            }
            FixtureError::Metadata { manifest, stderr } => {
                write!(f, "cargo metadata failed for {}; mend the manifest:\n{stderr}", manifest.display())
            }
            FixtureError::ParseMetadata { manifest, .. } => {
                write!(f, "cargo metadata for {} is not understood", manifest.display())
            }
            FixtureError::PackageTable { package, .. } => write!(
                f,
                "[package.metadata.relib-fixture] of {package} is wrong; it may hold rustflags = [\"...\"], \
                 profile-panic = \"abort\", features = [\"...\"] and platforms = [\"linux-x86_64\"]"
            ),
            FixtureError::Build { manifest, .. } => {
                write!(f, "cannot build the fixtures of {}", manifest.display())
            }
            FixtureError::Unknown { name, known } if known.is_empty() => {
                write!(f, "no fixture is called {name}; there are none at all under {FIXTURES_DIR}")
            }
            FixtureError::Unknown { name, known } => {
                write!(f, "no fixture is called {name}; those there are: {}", known.join(", "))
            }
            FixtureError::WriteManifest { path, .. } => {
                write!(f, "cannot write the fixture manifest {}", path.display())
            }
            FixtureError::ReadManifest { path, .. } => write!(
                f,
                "cannot read the fixture manifest {}; cargo xtask test-matrix writes it",
                path.display()
            ),
        }
    }
}

impl std::error::Error for FixtureError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FixtureError::RunMetadata { source, .. }
            | FixtureError::WriteManifest { source, .. }
            | FixtureError::ReadManifest { source, .. } => Some(source),
            FixtureError::ParseMetadata { source, .. } | FixtureError::PackageTable { source, .. } => {
                Some(source)
            }
            FixtureError::Build { source, .. } => Some(source),
            FixtureError::Metadata { .. } | FixtureError::Unknown { .. } => None,
        }
    }
}

/// What a fixture wants to be built with beyond the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Flags {
    rustflags: Vec<String>,
    profile_panic: Option<Panic>,
    features: Vec<String>,
}

/// The table in a fixture's manifest.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Table {
    #[serde(default)]
    rustflags: Vec<String>,
    profile_panic: Option<Panic>,
    #[serde(default)]
    features: Vec<String>,
    platforms: Option<Vec<Platform>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Panic {
    Abort,
}

impl Flags {
    fn is_plain(&self) -> bool {
        *self == Flags::default()
    }

    /// A name that is the same for the same flags.
    fn target_dir(&self) -> String {
        if self.is_plain() {
            return "fixtures".to_owned();
        }
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        format!("fixtures-{:016x}", hasher.finish())
    }
}

/// A package of the fixtures' workspace.
struct Package {
    name: String,
    /// Identifies it in cargo's messages.
    manifest: PathBuf,
    flags: Flags,
    platforms: Vec<Platform>,
}

/// Asks cargo which packages the workspace has and reads their tables.
fn packages(manifest: &Path) -> Result<Vec<Package>, FixtureError> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<RawPackage>,
    }
    #[derive(Deserialize)]
    struct RawPackage {
        name: String,
        manifest_path: PathBuf,
        metadata: Option<serde_json::Value>,
    }

    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
        .args(["metadata", "--format-version", "1", "--no-deps", "--manifest-path"])
        .arg(manifest)
        .output()
        .map_err(|source| FixtureError::RunMetadata { manifest: manifest.to_owned(), source })?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(FixtureError::Metadata { manifest: manifest.to_owned(), stderr });
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .map_err(|source| FixtureError::ParseMetadata { manifest: manifest.to_owned(), source })?;
    metadata
        .packages
        .into_iter()
        .map(|package| {
            let table =
                package.metadata.and_then(|mut metadata| Some(metadata.get_mut("relib-fixture")?.take()));
            let table: Table = match table {
                Some(table) => serde_json::from_value(table)
                    .map_err(|source| FixtureError::PackageTable { package: package.name.clone(), source })?,
                None => Table::default(),
            };
            Ok(Package {
                name: package.name,
                manifest: package.manifest_path,
                flags: Flags {
                    rustflags: table.rustflags,
                    profile_panic: table.profile_panic,
                    features: table.features,
                },
                platforms: table.platforms.unwrap_or_else(|| Platform::ALL.to_vec()),
            })
        })
        .collect()
}

/// One cargo call for all packages with the same flags.
fn build_group(
    manifest: &Path,
    mut build: escargot::CargoBuild,
    profile: Profile,
    flags: &Flags,
    members: &[&Package],
) -> Result<BTreeMap<String, PathBuf>, FixtureError> {
    for member in members {
        build = build.arg("--package").arg(&member.name);
        for feature in &flags.features {
            build = build.arg("--features").arg(format!("{}/{feature}", member.name));
        }
    }
    if profile == Profile::Release {
        build = build.release();
    }
    if let Some(Panic::Abort) = flags.profile_panic {
        build = build.env("CARGO_PROFILE_DEV_PANIC", "abort").env("CARGO_PROFILE_RELEASE_PANIC", "abort");
    }

    let built =
        cargo::run(build).map_err(|source| FixtureError::Build { manifest: manifest.to_owned(), source })?;
    let libraries = built.into_iter().filter_map(|artefact| {
        let member = members.iter().find(|member| member.manifest == artefact.manifest)?;
        Some((normalised(&member.name), artefact.cdylib?))
    });
    Ok(libraries.collect())
}

fn normalised(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_fixture_is_reported_with_those_there_are() {
        let mut fixtures = Fixtures::none(Profile::Debug);
        assert!(fixtures.path("x").unwrap_err().to_string().contains("none at all"));
        fixtures.artefacts.insert("leak_forget".into(), "/a/libleak_forget.so".into());
        assert_eq!(fixtures.path("leak-forget").unwrap(), Path::new("/a/libleak_forget.so"));
        assert_eq!(
            fixtures.path("x").unwrap_err().to_string(),
            "no fixture is called x; those there are: leak_forget"
        );
    }

    #[test]
    fn a_manifest_survives_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep").join("manifest.json");
        let mut fixtures = Fixtures::none(Profile::Release);
        fixtures.artefacts.insert("a".into(), "/a/liba.so".into());
        fixtures.save(&path).unwrap();
        assert_eq!(Fixtures::load(&path).unwrap(), fixtures);
        assert!(matches!(Fixtures::load(dir.path()), Err(FixtureError::ReadManifest { .. })));
    }

    #[test]
    fn flags_decide_the_target_directory() {
        let abort = Flags { profile_panic: Some(Panic::Abort), ..Flags::default() };
        assert_eq!(Flags::default().target_dir(), "fixtures");
        assert_ne!(abort.target_dir(), "fixtures");
        assert_eq!(abort.target_dir(), abort.clone().target_dir());
    }
}
