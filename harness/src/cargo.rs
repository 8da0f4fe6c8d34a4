//! Runs one `cargo build` and collects what it made, or what the compiler said.
//!
//! It must not know what is built and why: fixtures and runner executables both go through here.

use std::fmt;
use std::path::{Path, PathBuf};

use escargot::CargoBuild;
use escargot::format::Message;
use escargot::format::diagnostic::DiagnosticLevel;

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
    file.extension().is_some_and(|extension| extension == std::env::consts::DLL_EXTENSION)
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
