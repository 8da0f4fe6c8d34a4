//! Which files are loaded, so that none is loaded a second time by accident.

use std::collections::hash_map::{Entry, HashMap};
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use crate::file::{Holder, LoadError};
use crate::lock::lock;
use crate::platform::{FileId, OpenedFile};

/// The files that are loaded, or being loaded, in a way that excludes a second time.
static LOADED: LazyLock<Mutex<HashMap<FileId, Holder>>> = LazyLock::new(Mutex::default);

/// Keeps a file from being loaded a second time; dropped when the load fails or the module is gone.
#[derive(Debug)]
pub(crate) struct Reservation(Option<Reserved>);

#[derive(Debug)]
struct Reserved {
    id: FileId,
    /// Held open where the system would give the identity of a file that is deleted to another: a new build in its place
    /// is another file.
    _file: Option<Arc<File>>,
}

impl Reservation {
    /// For a file that may be loaded again.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Reserves a file.
    pub(crate) fn of(opened: &OpenedFile, holder: Holder) -> Result<Self, LoadError> {
        let inaccessible = |source| LoadError::Inaccessible { path: opened.path.clone(), source };
        let id = FileId::of(opened).map_err(inaccessible)?;
        let kept = FileId::keep(&opened.file);
        match lock(&LOADED).entry(id) {
            Entry::Occupied(entry) => {
                let path = opened.path.clone();
                return Err(LoadError::ModuleAlreadyLoaded { path, holder: *entry.get() });
            }
            Entry::Vacant(entry) => entry.insert(holder),
        };
        Ok(Self(Some(Reserved { id, _file: kept })))
    }

    /// Whether `path` leads to the file that is reserved, and not to another that was put there.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        let Some(reserved) = &self.0 else { return false };
        FileId::at(path).is_ok_and(|id| id == reserved.id)
    }

    /// Notes that the module was dropped, so that an error can say why the file cannot be unloaded.
    pub(crate) fn note_drop(&self) {
        if let Some(reserved) = &self.0
            && let Some(holder @ Holder::Module) = lock(&LOADED).get_mut(&reserved.id)
        {
            *holder = Holder::Dropped;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(reserved) = &self.0 {
            lock(&LOADED).remove(&reserved.id);
        }
    }
}
