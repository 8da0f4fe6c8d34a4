//! Private copies of module files.
//!
//! A module is loaded from a copy, so that the original can be overwritten, deleted or rebuilt while it runs, and so
//! that the same file can be loaded again. Copies stand in a directory of this process that only its user may enter.
//! The directory goes at the end of the process; what a killed process leaves behind is swept by the next one that
//! stages something.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};

use tempfile::TempDir;

use crate::imp;
use crate::runtime::lock;

/// First part of the names of staging directories.
const PREFIX: &str = "relib-";

/// A file in each staging directory that its process keeps locked while it lives.
const LOCK_NAME: &str = "lock";

/// A copy of a module's file; removed when dropped.
#[derive(Debug)]
pub(crate) struct StagedFile {
    path: PathBuf,
    /// Until the copy is sealed.
    file: Option<File>,
    /// Keeps the directory while there is a copy in it.
    _directory: Arc<Directory>,
}

impl StagedFile {
    /// Copies `original`, whose name is that of `path`, into a staging directory under `parent` or, without one, under
    /// the system's directory for temporary files.
    pub(crate) fn copy(original: &File, path: &Path, parent: Option<&Path>) -> io::Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let directory = Directory::get(&parent)?;
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Debuggers and backtraces show the path, so the copy keeps the original's name.
        let mut name = std::ffi::OsString::from(format!("{number}-"));
        name.push(path.file_name().unwrap_or_default());
        let staged_path = directory.temporary.path().join(name);
        let mut file = File::options().read(true).write(true).create_new(true).open(&staged_path)?;
        let staged = Self { path: staged_path, file: Some(file.try_clone()?), _directory: directory };
        // On Linux this is `copy_file_range`, which shares the blocks where the file system can.
        io::copy(&mut &*original, &mut file)?;
        Ok(staged)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The copy itself, to be verified and changed.
    ///
    /// # Panics
    /// After [`StagedFile::seal`].
    pub(crate) fn file(&self) -> &File {
        self.file.as_ref().expect("a copy is looked at before it is sealed")
    }

    /// Ends the changes: the copy is about to be loaded, which a loader may refuse while it is open for writing.
    pub(crate) fn seal(&mut self) {
        self.file = None;
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // If this fails the file goes with its directory.
        let _ = fs::remove_file(&self.path);
    }
}

/// A directory of this process; removed when dropped, or at the end of the process.
#[derive(Debug)]
struct Directory {
    /// Held open for its lock, and closed first: some systems do not remove a directory with an open file.
    _lock: File,
    temporary: TempDir,
}

/// The directory in use, with the one that it was made in. Kept for the next load even when no copy is in it.
static CURRENT: Mutex<Option<(PathBuf, Arc<Directory>)>> = Mutex::new(None);

impl Directory {
    fn get(parent: &Path) -> io::Result<Arc<Self>> {
        let mut current = lock(&CURRENT);
        if let Some((known, directory)) = &*current
            && known == parent
        {
            return Ok(Arc::clone(directory));
        }
        static AT_EXIT: Once = Once::new();
        AT_EXIT.call_once(|| imp::at_process_exit(remove_current));
        let directory = Arc::new(Self::create(parent)?);
        *current = Some((parent.to_owned(), Arc::clone(&directory)));
        Ok(directory)
    }

    fn create(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        let temporary = imp::private_directory(PREFIX, parent)?;
        let lock = File::create_new(temporary.path().join(LOCK_NAME))?;
        lock.lock()?;
        Ok(Self { _lock: lock, temporary })
    }
}

/// Removes the directories of processes that are gone. What cannot be looked at or removed is somebody else's.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // A directory whose process has not made its lock yet has none: it is left alone.
        if let Ok(file) = File::open(entry.path().join(LOCK_NAME))
            && file.try_lock().is_ok()
        {
            // Some systems do not remove a directory with an open file.
            drop(file);
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Removes the directory with whatever is left in it: copies of modules that were never unloaded.
extern "C" fn remove_current() {
    // A thread that was stopped in the middle of a load must not keep the process from ending.
    if let Ok(mut current) = CURRENT.try_lock()
        && let Some((_, directory)) = current.take()
    {
        let path = directory.temporary.path().to_owned();
        // Closes the lock unless copies are left.
        drop(directory);
        let _ = fs::remove_dir_all(path);
    }
}
