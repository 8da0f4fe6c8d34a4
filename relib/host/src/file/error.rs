//! What can go wrong in loading a module, from the path on. The steps of a load that stand in higher rooms report by it too.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::explain::InterfaceProblem;
use crate::image::ImageError;
use crate::platform;

/// Why a module was not loaded.
///
/// No code of the file has run when one of these is returned, except, in a load [in place](crate::LoadOptions::in_place) and in
/// any on Windows, for constructors before [`Linking`](Self::Linking), [`Replaced`](Self::Replaced),
/// [`Redirecting`](Self::Redirecting), [`EarlyMemory`](Self::EarlyMemory), [`ForeignAllocator`](Self::ForeignAllocator) and what follows from a damaged entry
/// table. A failed load leaves nothing behind, unless such constructors have started threads or the like that are in the
/// way, or keep the memory that `EarlyMemory` is about; it never gets in the way of the next one.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no such file.
    Missing {
        /// The path as it was given.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file cannot be opened or read.
    Inaccessible {
        /// The path as it was given.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The path leads to something that is not a regular file.
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file has no contents.
    Empty {
        /// The path.
        path: PathBuf,
    },
    /// The file ends before its contents do, as while a linker is writing it.
    Truncated {
        /// The path.
        path: PathBuf,
        /// Which part is missing.
        detail: String,
    },
    /// The file is not a dynamic library.
    NotALibrary {
        /// The path.
        path: PathBuf,
        /// What it is instead.
        detail: String,
    },
    /// The library was built for another machine.
    OtherMachine {
        /// The path.
        path: PathBuf,
        /// The two machines.
        detail: String,
    },
    /// The library contradicts itself, so that loading it could crash.
    Damaged {
        /// The path.
        path: PathBuf,
        /// The first contradiction.
        detail: String,
    },
    /// The library uses something that relib does not support.
    Unsupported {
        /// The path.
        path: PathBuf,
        /// What it uses, and what to do about it.
        detail: String,
    },
    /// The library is none of relib's: it does not depend on `relib_module`.
    NotAModule {
        /// The path.
        path: PathBuf,
    },
    /// The module was built in a way that does not fit this host.
    BuildMismatch {
        /// The path.
        path: PathBuf,
        /// What differs.
        part: BuildPart,
        /// The host's side.
        host: String,
        /// The module's side.
        module: String,
    },
    /// The module was built with `panic = "abort"`, so that a panic in it would end the host.
    PanicAbort {
        /// The path.
        path: PathBuf,
    },
    /// The two sides do not agree about an interface.
    InterfaceMismatch {
        /// The path.
        path: PathBuf,
        /// The interface, by the path of its trait.
        interface: String,
        /// The first difference.
        problem: Box<InterfaceProblem>,
    },
    /// The same file is loaded already.
    ModuleAlreadyLoaded {
        /// The path.
        path: PathBuf,
        /// What has become of the module that it is loaded as.
        holder: Holder,
    },
    /// The file is to be loaded in place, but the dynamic loader has loaded a library by this path before, and would
    /// return that one.
    PathInUse {
        /// The path.
        path: PathBuf,
    },
    /// Each time when the file had been verified, another one was at its path, so that a load without a private copy would
    /// have mapped what was not verified.
    Replaced {
        /// The path.
        path: PathBuf,
    },
    /// The private copy of the file could not be made.
    Staging {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system's dynamic loader refused the library.
    Linking {
        /// The path.
        path: PathBuf,
        /// What the dynamic loader says.
        source: libloading::Error,
    },
    /// The imports of the image could not be redirected.
    Redirecting {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The module has a global allocator that does not take its memory from relib.
    ForeignAllocator {
        /// The path.
        path: PathBuf,
    },
    /// Code of the module ran before the module had its heap, and keeps more memory than relib has room for until then
    /// (256 KiB). That happens only without a private copy, whose constructors run later, and on Windows, where an image
    /// calls its constructors itself.
    EarlyMemory {
        /// The path.
        path: PathBuf,
    },
    /// There is no memory for the module's heap.
    OutOfMemory,
}

/// What has become of the module that a file is loaded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holder {
    /// It can be unloaded.
    Module,
    /// It was loaded by [`LoadOptions::permanent`](crate::LoadOptions::permanent).
    Permanent,
    /// Its [`Module`](crate::Module) was dropped, so that it can be unloaded no more.
    Dropped,
}

/// A part of a build that host and module must have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildPart {
    /// The contract between the images.
    Relib,
    /// The compiler.
    Rustc,
    /// The target triple.
    Target,
}

impl fmt::Display for BuildPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relib => "relib",
            Self::Rustc => "rustc",
            Self::Target => "target",
        })
    }
}

impl LoadError {
    /// What verification says of the file at `path`.
    pub(crate) fn of_image(path: PathBuf, error: ImageError) -> Self {
        let detail = error.to_string();
        match error {
            ImageError::Empty => Self::Empty { path },
            ImageError::Truncated { .. } => Self::Truncated { path, detail },
            ImageError::UnknownFormat { .. } | ImageError::NotALibrary { .. } => {
                Self::NotALibrary { path, detail }
            }
            ImageError::OtherMachine { .. }
            | ImageError::OtherClass { .. }
            | ImageError::OtherByteOrder { .. } => Self::OtherMachine { path, detail },
            ImageError::Unsupported { .. } => Self::Unsupported { path, detail },
            ImageError::Malformed { .. } | ImageError::Unreadable { .. } => Self::Damaged { path, detail },
        }
    }

    /// The metadata of the module at `path` does not have its form.
    pub(crate) fn damaged_metadata(path: &Path, detail: &str) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            detail: format!("the module's metadata is damaged: {detail}; build it again"),
        }
    }

    /// Host and module do not agree about an interface.
    pub(crate) fn mismatch(path: &Path, interface: &str, problem: Box<InterfaceProblem>) -> Self {
        Self::InterfaceMismatch { path: path.to_owned(), interface: interface.to_owned(), problem }
    }

    /// The path of the module, where the failure is about one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Missing { path, .. }
            | Self::Inaccessible { path, .. }
            | Self::NotAFile { path }
            | Self::Empty { path }
            | Self::Truncated { path, .. }
            | Self::NotALibrary { path, .. }
            | Self::OtherMachine { path, .. }
            | Self::Damaged { path, .. }
            | Self::Unsupported { path, .. }
            | Self::NotAModule { path }
            | Self::BuildMismatch { path, .. }
            | Self::PanicAbort { path }
            | Self::InterfaceMismatch { path, .. }
            | Self::ModuleAlreadyLoaded { path, .. }
            | Self::PathInUse { path }
            | Self::Replaced { path }
            | Self::Staging { path, .. }
            | Self::Linking { path, .. }
            | Self::Redirecting { path, .. }
            | Self::ForeignAllocator { path }
            | Self::EarlyMemory { path } => Some(path),
            Self::OutOfMemory => None,
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = self.path() {
            write!(f, "cannot load {}: ", Shown(path))?;
        }
        match self {
            Self::Missing { .. } => write!(
                f,
                "there is no such file; relib looks for nothing in library paths: give the path of the built module, \
                 such as target/debug/libmodule.so"
            ),
            Self::Inaccessible { .. } => {
                write!(
                    f,
                    "the file cannot be read; check the path, and that this process may read what it leads to"
                )
            }
            Self::NotAFile { .. } => {
                write!(f, "this is not a regular file; give the path of the built library itself")
            }
            Self::Empty { .. } => {
                write!(f, "the file is empty; load it again when the linker has written it")
            }
            Self::Truncated { detail, .. }
            | Self::NotALibrary { detail, .. }
            | Self::OtherMachine { detail, .. }
            | Self::Damaged { detail, .. }
            | Self::Unsupported { detail, .. } => f.write_str(detail),
            Self::NotAModule { .. } => write!(
                f,
                "the library is not a relib module: it must depend on relib_module and use it, for example by \
                 #[relib_module::export]"
            ),
            Self::BuildMismatch { part: BuildPart::Target, host, module, .. } => write!(
                f,
                "host and module were built for different targets: the host for {host}, the module for {module}; build \
                 both for the same target"
            ),
            Self::BuildMismatch { part, host, module, .. } => write!(
                f,
                "host and module were built with different versions of {part}: the host with {host}, the module with \
                 {module}; build both with the same {part}"
            ),
            Self::PanicAbort { .. } => write!(
                f,
                "the module was built with panic = \"abort\", so that a panic in it would end the host; build it with \
                 panic = \"unwind\""
            ),
            Self::InterfaceMismatch { interface, problem, .. } => {
                write!(
                    f,
                    "host and module do not agree about `{interface}`: {problem}; build both from the same source"
                )
            }
            Self::ModuleAlreadyLoaded { holder, .. } => {
                let (state, way_out) = match holder {
                    Holder::Module => ("", "unload it first, or "),
                    Holder::Permanent => (" as permanent, which cannot be unloaded", ""),
                    Holder::Dropped => (
                        " by a Module that was dropped, which does not unload it",
                        "keep the Module and unload it, or ",
                    ),
                };
                write!(
                    f,
                    "this file is loaded already{state}; {way_out}ask for a separate instance by \
                     LoadOptions::separate_instance, without LoadOptions::in_place"
                )
            }
            Self::PathInUse { .. } => write!(
                f,
                "the dynamic loader has already loaded a library by this path and would return that one; unload it \
                 first, or load a private copy, without LoadOptions::in_place"
            ),
            Self::Replaced { .. } => write!(
                f,
                "again and again another file was put at this path while it was being loaded; load it when its builds are \
                 over, or load a private copy, without LoadOptions::in_place and LoadOptions::permanent"
            ),
            Self::Staging { .. } => write!(
                f,
                "the file cannot be copied to load it from there; choose another place by \
                 LoadOptions::staging_directory, or load it in place by LoadOptions::in_place"
            ),
            Self::Linking { .. } => write!(
                f,
                "the dynamic loader refuses the library; mend what it says, which most often is that it does not find \
                 another library that this one needs"
            ),
            Self::Redirecting { .. } => write!(
                f,
                "its imports cannot be redirected, because the system does not let their slots be written; if the \
                 process has too many mappings, raise vm.max_map_count"
            ),
            Self::ForeignAllocator { .. } => write!(
                f,
                "the module's global allocator takes its memory from somewhere else than relib, so that an unload \
                 could not reclaim it; compose it with relib_module::ModuleAlloc, or accept the leak by \
                 LoadOptions::allow_foreign_allocator"
            ),
            Self::EarlyMemory { .. } => write!(
                f,
                "a constructor of the module keeps more memory than there is room for before the module has its heap; {}",
                platform::EARLY_MEMORY_ADVICE
            ),
            Self::OutOfMemory => write!(f, "there is no memory for the module's heap"),
        }
    }
}

/// A path in a message: escaped and in quotes if it would not be seen as it is.
struct Shown<'a>(&'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string_lossy();
        if text.is_empty() || text.contains(char::is_control) {
            write!(f, "{:?}", self.0)
        } else {
            write!(f, "{}", self.0.display())
        }
    }
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Missing { source, .. }
            | Self::Inaccessible { source, .. }
            | Self::Staging { source, .. }
            | Self::Redirecting { source, .. } => Some(source),
            Self::Linking { source, .. } => Some(source),
            _ => None,
        }
    }
}
