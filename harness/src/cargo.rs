//! Runs one `cargo build` and collects what it made, or what the compiler said.
//!
//! It must not know what is built and why: fixtures and runner executables both go through here.

use std::fmt;
use std::path::{Path, PathBuf};

use escargot::CargoBuild;
use escargot::format::Message;
use escargot::format::diagnostic::DiagnosticLevel;

use crate::axes::Platform;

/// What a run is built with, beside the profile: nothing special, or another compiler, flags and target folder.
///
/// Everything of one run (runner and fixtures) is built by the same variant, since host and module must come from the
/// same compiler.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variant {
    /// Folder below `target` for everything that is built; `None` for the usual places.
    pub folder: Option<String>,
    /// The compiler; `None` for the one that cargo finds.
    pub rustc: Option<PathBuf>,
    /// Flags for the compiler.
    pub rustflags: Vec<String>,
    /// The target triple; with one, flags do not reach build scripts and macros.
    pub target: Option<String>,
    /// The platform that it is built for, if it is not the one that the harness runs on.
    pub platform: Option<Platform>,
    /// More arguments for cargo.
    pub arguments: Vec<String>,
    /// Whether runner and fixtures share the folder: for builds of std, which takes minutes, to be done once.
    pub one_folder: bool,
}

impl Variant {
    /// The folder for something that is built into `usual` (below `target`) without a variant.
    pub fn target_dir(&self, root: &Path, usual: &str) -> PathBuf {
        let target = root.join("target");
        match &self.folder {
            Some(folder) if self.one_folder => target.join(folder),
            Some(folder) => target.join(folder).join(usual),
            None => target.join(usual),
        }
    }

    /// The folders that a variant adds to the paths of what is built, with what stands for them in outcomes: the same as
    /// without a variant.
    pub fn shown_folders(&self, root: &Path) -> Vec<(PathBuf, &'static str)> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let target = root.join("target").join(folder);
        let fixtures = target.join("fixtures");
        let fixtures = self.target.as_ref().map_or(fixtures.clone(), |triple| fixtures.join(triple));
        vec![(fixtures, "<root>/target/fixtures"), (target, "<root>/target")]
    }

    /// The variables that have a cargo build with the variant's compiler, target and flags: for builds that scenarios
    /// make by themselves.
    pub fn environment(&self) -> Vec<(String, String)> {
        self.environment_with(&[])
    }

    /// Adds the variant's arguments, compiler, target and flags to a build, with `more` flags.
    pub fn apply(&self, build: CargoBuild, more: &[String]) -> CargoBuild {
        let build = self.arguments.iter().fold(build, |build, argument| build.arg(argument));
        self.environment_with(more).into_iter().fold(build, |build, (name, value)| build.env(name, value))
    }

    fn environment_with(&self, more: &[String]) -> Vec<(String, String)> {
        let mut environment = Vec::new();
        if let Some(rustc) = &self.rustc {
            environment.push(("RUSTC".to_owned(), rustc.display().to_string()));
        }
        if let Some(target) = &self.target {
            environment.push(("CARGO_BUILD_TARGET".to_owned(), target.clone()));
        }
        let flags: Vec<String> = self.rustflags.iter().chain(more).cloned().collect();
        if !flags.is_empty() {
            environment.push(("CARGO_ENCODED_RUSTFLAGS".to_owned(), encoded_rustflags(&flags)));
        }
        environment
    }
}

/// The flags of the environment and then these, in the form that keeps spaces.
fn encoded_rustflags(flags: &[String]) -> String {
    const SEPARATOR: &str = "\u{1f}";
    let inherited = match (std::env::var("CARGO_ENCODED_RUSTFLAGS"), std::env::var("RUSTFLAGS")) {
        (Ok(encoded), _) => encoded,
        (Err(_), Ok(plain)) => plain.split_whitespace().collect::<Vec<_>>().join(SEPARATOR),
        (Err(_), Err(_)) => String::new(),
    };
    let inherited = inherited.split(SEPARATOR).filter(|flag| !flag.is_empty());
    inherited.chain(flags.iter().map(String::as_str)).collect::<Vec<_>>().join(SEPARATOR)
}

/// A target that cargo built or found up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact {
    /// The manifest of its package.
    pub manifest: PathBuf,
    /// The executable, if it is one.
    pub executable: Option<PathBuf>,
    /// The dynamic library, if it is one.
    pub cdylib: Option<PathBuf>,
}

/// Runs the build to its end.
///
/// # Errors
/// When cargo cannot be run or something does not compile; the error holds what the compiler said.
pub fn run(build: CargoBuild) -> Result<Vec<Artefact>, BuildError> {
    // Quiet, since escargot reads cargo's standard error only at the end: progress lines could fill the pipe.
    let messages = build.arg("--quiet").exec().map_err(|source| BuildError::Run { source })?;
    let mut artefacts = Vec::new();
    let mut rendered = String::new();
    for message in messages {
        let message = match message {
            Ok(message) => message,
            Err(error) => {
                // When the compiler was not reached, the error holds cargo's own words.
                let rendered = if rendered.is_empty() { error.to_string() } else { rendered };
                return Err(BuildError::Compile { rendered });
            }
        };
        match message.decode().map_err(|source| BuildError::Decode { source })? {
            Message::CompilerArtifact(artefact) => {
                let is_cdylib = artefact.target.kind.iter().any(|kind| kind == "cdylib");
                let library = artefact.filenames.iter().find(|file| is_cdylib && is_library(file));
                artefacts.push(Artefact {
                    manifest: artefact.manifest_path.as_deref().map(Path::to_path_buf).unwrap_or_default(),
                    executable: artefact.executable.as_deref().map(Path::to_path_buf),
                    cdylib: library.map(|library| library.to_path_buf()),
                });
            }
            Message::CompilerMessage(message) if matches!(message.message.level, DiagnosticLevel::Error) => {
                rendered.push_str(message.message.rendered.as_deref().unwrap_or(&message.message.message));
            }
            _ => {}
        }
    }
    Ok(artefacts)
}

fn is_library(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| extension == std::env::consts::DLL_EXTENSION || extension == "dll")
}

/// Why a build made nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// Cargo could not be started.
    Run {
        /// The error of the build helper.
        source: escargot::error::CargoError,
    },
    /// A message of cargo could not be understood.
    Decode {
        /// The error of the build helper.
        source: escargot::error::CargoError,
    },
    /// Cargo failed.
    Compile {
        /// What the compiler said, or cargo when the compiler was not reached.
        rendered: String,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Run { .. } => f.write_str("cannot run cargo build; is cargo in PATH?"),
            BuildError::Decode { .. } => f.write_str("a message of cargo build is not understood"),
            BuildError::Compile { rendered } => {
                write!(f, "cargo build failed; mend this first:\n{}", rendered.trim_end())
            }
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BuildError::Run { source } | BuildError::Decode { source } => Some(source),
            BuildError::Compile { .. } => None,
        }
    }
}
