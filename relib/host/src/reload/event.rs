//! What a host is told about reloading.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::file::LoadError;
use crate::module::Unloaded;
use crate::state::{HandOver, StateError};
use crate::unload::UnloadError;

/// Something that happened to a watched module.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReloadEvent {
    /// The file has been open for writing for a while; it is looked at when that is over.
    Incomplete {
        /// The file.
        path: PathBuf,
    },
    /// A new build has been verified and copied, and is going to be swapped in.
    Ready {
        /// The file.
        path: PathBuf,
    },
    /// A new build is loaded.
    Reloaded(Reloaded),
    /// A new build was not loaded. The old module runs on.
    Refused(ReloadError),
}

/// A new build that has been loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// Counts the builds that have been loaded; the first swap makes it two.
    pub generation: u64,
    /// How the state of the module was handed over.
    pub state: HandOver,
    /// What became of the module that was loaded before.
    pub old: OldModule,
    /// How long the swap took: the time for which the host could not use the module.
    pub took: Duration,
}

/// What became of a module that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OldModule {
    /// It has been unloaded.
    Unloaded(Unloaded),
    /// It could not be unloaded, and is one of the [`Reloader::zombies`](crate::Reloader::zombies).
    Zombie(UnloadError),
}

/// Why a new build was not loaded, or why a file is not watched.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReloadError {
    /// The file cannot be loaded.
    Load(LoadError),
    /// The state of the old module is not handed over.
    State(StateError),
    /// The old module cannot be unloaded.
    Unload(UnloadError),
    /// The system cannot watch the file's directory.
    Watch {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: notify::Error,
    },
}

impl fmt::Display for ReloadEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { path } => write!(f, "{} is still being written", path.display()),
            Self::Ready { path } => write!(f, "a new build of {} is ready", path.display()),
            Self::Reloaded(reloaded) => reloaded.fmt(f),
            Self::Refused(error) => {
                write!(f, "the new build is refused: {error}")?;
                // An event is shown as it is, by hosts that do not look into it.
                match error.source() {
                    Some(source) => write!(f, ": {source}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "build {} is loaded after {:.1} ms", self.generation, self.took.as_secs_f64() * 1e3)?;
        match self.state {
            HandOver::Nothing => Ok(()),
            HandOver::Restored { bytes } => write!(f, ", with {bytes} bytes of state"),
            HandOver::Migrated { bytes } => write!(f, ", with {bytes} bytes of state, migrated"),
            HandOver::Dropped => write!(f, ", without the old one's state, which it does not take"),
        }?;
        match &self.old {
            OldModule::Unloaded(_) => Ok(()),
            OldModule::Zombie(error) => write!(f, "; the old one stays: {error}"),
        }
    }
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(error) => error.fmt(f),
            Self::State(error) => error.fmt(f),
            Self::Unload(error) => write!(f, "the old module cannot be unloaded: {error}"),
            Self::Watch { path, .. } => write!(
                f,
                "cannot watch the directory of {}; if the system's number of watches is used up, raise \
                 fs.inotify.max_user_watches",
                path.display()
            ),
        }
    }
}

impl Error for ReloadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // The message is that of the error itself.
            Self::Load(error) => error.source(),
            Self::State(error) => error.source(),
            Self::Unload(error) => error.source(),
            Self::Watch { source, .. } => Some(source),
        }
    }
}

/// What [`Reloader::poll`](crate::Reloader::poll) has to tell.
#[derive(Debug)]
pub struct Events(std::vec::IntoIter<ReloadEvent>);

impl Events {
    pub(super) fn new(events: Vec<ReloadEvent>) -> Self {
        Self(events.into_iter())
    }
}

impl Iterator for Events {
    type Item = ReloadEvent;

    fn next(&mut self) -> Option<ReloadEvent> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Events {}
