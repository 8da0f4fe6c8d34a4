//! What can go wrong in loading a module and in calling its `main`.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::description::InterfaceProblem;

/// Why a module was not loaded.
///
/// No code of the file has run when one of these is returned, except, in a load [in place](crate::LoadOptions::in_place),
/// for constructors before [`Linking`](Self::Linking), [`Redirecting`](Self::Redirecting),
/// [`ForeignAllocator`](Self::ForeignAllocator) and what follows from a damaged entry table. A failed load leaves nothing
/// behind, unless such constructors have started threads or the like that are in the way; it never gets in the way of the
/// next one.
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
    },
    /// The file is to be loaded in place, but the dynamic loader has loaded a library by this path before, and would
    /// return that one.
    PathInUse {
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
    /// There is no memory for the module's heap.
    OutOfMemory,
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
    /// The path of the module, where the failure is about one.
    pub fn path(&self) -> Option<&std::path::Path> {
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
            | Self::ModuleAlreadyLoaded { path }
            | Self::PathInUse { path }
            | Self::Staging { path, .. }
            | Self::Linking { path, .. }
            | Self::Redirecting { path, .. }
            | Self::ForeignAllocator { path } => Some(path),
            Self::OutOfMemory => None,
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = self.path() {
            write!(f, "cannot load {}: ", path.display())?;
        }
        match self {
            Self::Missing { .. } => write!(
                f,
                "there is no such file; relib looks for nothing in library paths: give the path of the built module, \
                 such as target/debug/libmodule.so"
            ),
            Self::Inaccessible { .. } => write!(f, "the file cannot be read"),
            Self::NotAFile { .. } => write!(f, "this is not a regular file"),
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
            Self::ModuleAlreadyLoaded { .. } => write!(
                f,
                "this file is loaded already; unload it first, or ask for a separate instance by \
                 LoadOptions::separate_instance, without LoadOptions::in_place"
            ),
            Self::PathInUse { .. } => write!(
                f,
                "the dynamic loader has already loaded a library by this path and would return that one; unload it \
                 first, or load a private copy, without LoadOptions::in_place"
            ),
            Self::Staging { .. } => write!(
                f,
                "the file cannot be copied to load it from there; choose another place by \
                 LoadOptions::staging_directory, or load it in place by LoadOptions::in_place"
            ),
            Self::Linking { .. } => write!(f, "the dynamic loader refuses the library"),
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
            Self::OutOfMemory => write!(f, "there is no memory for the module's heap"),
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

/// Why a module's `main` gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallMainError {
    /// The module exports no `main`.
    Missing,
    /// `main` returns another type than the host asked for; it was not called.
    OtherType {
        /// The type that the host asked for.
        asked: String,
        /// The type that `main` returns.
        returns: String,
        /// The first difference inside the types, if their names read alike.
        difference: Option<String>,
    },
    /// `main` panicked; see [`Module::last_panic`](crate::Module::last_panic).
    Panicked,
}

impl fmt::Display for CallMainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "the module exports no `main`; mark it with #[relib_module::export]"),
            Self::OtherType { asked, returns, difference: None } => {
                write!(f, "the module's `main` returns `{returns}`, not `{asked}`; ask for what it returns")
            }
            Self::OtherType { asked, difference: Some(difference), .. } => {
                write!(
                    f,
                    "the module's `main` returns another `{asked}` than the host's: {difference}; build both from \
                     the same source"
                )
            }
            Self::Panicked => write!(f, "the module's `main` panicked; Module::last_panic has the message"),
        }
    }
}

impl Error for CallMainError {}
