//! Private copies of module files.
//!
//! A module is loaded from a copy, so that the original can be overwritten, deleted or rebuilt while it runs, and so
//! that the same file can be loaded again. Copies stand in a directory of this process that only its user may enter.
//! The files of some copies that are gone stay there, to be overwritten by others, or to be those copies again if the
//! originals have not changed. The directory goes at the end of the process; what a killed process leaves behind, or one
//! that could not remove the file of an image that is still mapped, is swept by the next one that stages something.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};

use crate::file::Origin;
use crate::lock::lock;
use crate::platform::{self, FileState};

/// First part of the names of staging directories.
const PREFIX: &str = "relib-";

/// How long a file's name may be, in bytes.
const MAX_NAME: usize = 255;

/// A file in each staging directory that its process keeps locked while it lives.
const LOCK_NAME: &str = ".relib-staging-lock";

/// How many files of copies that are gone are kept in a directory.
///
/// Making a file and taking its pages from the system costs several times as much as overwriting one that has them.
const SPARES: usize = 4;

/// How large they may be together, in bytes.
const SPARE_BYTES: u64 = 8 << 20;

/// A copy of a module's file. When it is dropped the file is removed, or becomes a spare one of its directory.
#[derive(Debug)]
pub(crate) struct StagedFile {
    path: PathBuf,
    len: u64,
    /// Until the copy is sealed.
    file: Option<File>,
    seal: Option<Seal>,
    /// Keeps the directory while there is a copy in it.
    directory: Arc<Directory>,
}

/// What a copy is known by that was verified and made ready to be loaded.
#[derive(Clone, Copy, Debug)]
struct Seal {
    /// The state of the original when it was copied.
    original: FileState,
    /// The state of the copy. It tells whether the file is still there: only this process writes to it.
    copy: FileState,
}

/// The file of a copy that is gone.
#[derive(Debug)]
struct Spare {
    path: PathBuf,
    len: u64,
    seal: Option<Seal>,
}

impl StagedFile {
    /// Copies `original`, whose name is that of `path`, into a staging directory under `parent` or, without one, under
    /// the system's directory for temporary files.
    ///
    /// Of a file that is known, it may be a copy that was sealed before.
    pub(crate) fn copy(
        original: &File,
        origin: &Origin,
        path: &Path,
        parent: Option<&Path>,
    ) -> io::Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let name = path.file_name().unwrap_or_default();
        let overwritten = match Directory::with_spare(&parent, name, origin) {
            Some((directory, spare)) if spare.is_copy_of(origin) && spare.is_unchanged() => {
                let Spare { path, len, seal } = spare;
                return Ok(Self { path, len, file: None, seal, directory });
            }
            Some((directory, spare)) => {
                directory.overwrite(spare, name).map(|(path, file)| (directory, path, file))
            }
            None => None,
        };
        let (directory, path, file) = match overwritten {
            Some(overwritten) => overwritten,
            None => {
                let directory = Directory::get(&parent)?;
                let path = directory.new_path(name);
                let file = File::options().read(true).write(true).create_new(true).open(&path)?;
                (directory, path, file)
            }
        };
        let mut staged = Self { path, len: 0, file: Some(file), seal: None, directory };
        staged.len = platform::copy_contents(original, staged.file())?;
        if staged.file().metadata()?.len() > staged.len {
            staged.file().set_len(staged.len)?;
        }
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

    /// Ends the changes: the copy is about to be loaded, which a loader may refuse while it is open for writing. With the
    /// state by which the original is known, the same copy may serve again.
    pub(crate) fn seal(&mut self, original: Option<FileState>) {
        let copy = self.file.take().and_then(|file| FileState::of(&file.metadata().ok()?));
        self.seal = original.zip(copy).map(|(original, copy)| Seal { original, copy });
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.file.is_none()
    }
}

/// Debuggers and backtraces show the path, so a copy keeps the original's name; of one that leaves no room for the
/// number it keeps the end.
fn name_of_copy(number: u64, original: &OsStr) -> OsString {
    let mut name = OsString::from(format!("{number}-"));
    // A name in UTF-8 has no fewer bytes than the units that a system may count instead.
    let room = MAX_NAME - name.len();
    if original.len() <= room {
        name.push(original);
    } else {
        let text = original.to_string_lossy();
        let start = (text.len() - room..).find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        name.push(&text[start..]);
    }
    name
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        let spare = Spare { path: std::mem::take(&mut self.path), len: self.len, seal: self.seal };
        if platform::TELLS_OTHER_USERS {
            self.directory.keep(spare);
        } else {
            spare.remove();
        }
    }
}

/// A directory of the process that made it; removed when dropped there, or at the end of that process.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    process: u32,
    /// Held open for its lock; dropped first, because some systems do not remove a directory with an open file.
    lock: Option<File>,
    /// The one that was in use last is at the end.
    spares: Mutex<Vec<Spare>>,
}

/// The directories in use, by those that they were made in. Kept for the next load even when no copy is in them.
static DIRECTORIES: Mutex<BTreeMap<PathBuf, Arc<Directory>>> = Mutex::new(BTreeMap::new());

impl Directory {
    fn get(parent: &Path) -> io::Result<Arc<Self>> {
        let mut directories = lock(&DIRECTORIES);
        if let Some(directory) = directories.get(parent).filter(|directory| directory.is_usable()) {
            return Ok(Arc::clone(directory));
        }
        static AT_EXIT: Once = Once::new();
        AT_EXIT.call_once(|| platform::at_process_exit(remove_all));
        let directory = Arc::new(Self::create(parent)?);
        directories.insert(parent.to_owned(), Arc::clone(&directory));
        Ok(directory)
    }

    fn create(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        let path = platform::private_directory(PREFIX, parent)?.keep();
        let mut directory = Self { path, process: std::process::id(), lock: None, spares: Mutex::default() };
        // It gets its name when it is locked: before, another process would take the directory for an abandoned one.
        let unlocked = directory.path.join("unlocked");
        let lock = File::create_new(&unlocked)?;
        lock.lock()?;
        directory.lock = Some(lock);
        fs::rename(unlocked, directory.path.join(LOCK_NAME))?;
        Ok(directory)
    }

    /// The directory under `parent`, and a spare file for a copy of a file with this name; none if there is room for another
    /// one and those of this name may serve again for other files.
    fn with_spare(parent: &Path, name: &OsStr, origin: &Origin) -> Option<(Arc<Self>, Spare)> {
        let directory = lock(&DIRECTORIES).get(parent).filter(|directory| directory.is_own()).cloned()?;
        let spare = {
            let mut spares = lock(&directory.spares);
            let last = |fits: &dyn Fn(&Spare) -> bool| {
                spares.iter().rposition(|spare| spare.has_name(name) && fits(spare))
            };
            let index = last(&|spare| spare.is_copy_of(origin))
                .or_else(|| last(&|spare| !spare.may_serve_another(origin)))
                .or((spares.len() == SPARES).then_some(0))?;
            spares.remove(index)
        };
        Some((directory, spare))
    }

    /// A path for a copy of a file with this name.
    fn new_path(&self, name: &OsStr) -> PathBuf {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        self.path.join(name_of_copy(NEXT.fetch_add(1, Ordering::Relaxed), name))
    }

    /// A spare file, for a copy of a file with this name, if nobody else uses it: a process that was forked while a
    /// module was loaded still has it mapped.
    fn overwrite(&self, spare: Spare, name: &OsStr) -> Option<(PathBuf, File)> {
        let reuse = || {
            let file = File::options().read(true).write(true).open(&spare.path).ok()?;
            if platform::is_used_by_others(&file) {
                return None;
            }
            if spare.has_name(name) {
                return Some((spare.path.clone(), file));
            }
            let path = self.new_path(name);
            fs::rename(&spare.path, &path).ok()?;
            Some((path, file))
        };
        let reused = reuse();
        if reused.is_none() {
            spare.remove();
        }
        reused
    }

    /// Keeps a spare file, unless it is too large; the oldest make room for it.
    fn keep(&self, spare: Spare) {
        if !self.is_own() {
            // It is a file of the process that this one was forked from, which may use it.
            return;
        }
        if spare.len > SPARE_BYTES {
            return spare.remove();
        }
        let mut spares = lock(&self.spares);
        spares.push(spare);
        let mut bytes: u64 = spares.iter().map(|spare| spare.len).sum();
        while spares.len() > SPARES || bytes > SPARE_BYTES {
            let oldest = spares.remove(0);
            bytes -= oldest.len;
            oldest.remove();
        }
    }

    /// Whether nobody has tidied the directory away, and it is not that of the process that this one was forked from.
    fn is_usable(&self) -> bool {
        self.is_own() && self.path.join(LOCK_NAME).exists()
    }

    fn is_own(&self) -> bool {
        self.process == std::process::id()
    }
}

impl Spare {
    /// Whether this is the copy that was sealed for the state by which this file is known.
    fn is_copy_of(&self, origin: &Origin) -> bool {
        self.seal.is_some_and(|seal| Some(seal.original) == origin.known_state())
    }

    /// Whether this may be the copy of another file, which may be known.
    fn may_serve_another(&self, origin: &Origin) -> bool {
        let same_file =
            |seal: Seal| origin.state().is_some_and(|state| state.is_of_same_file(&seal.original));
        self.seal.is_some_and(|seal| !same_file(seal))
    }

    /// Whether it is what it was when it was sealed.
    fn is_unchanged(&self) -> bool {
        let state = self.path.symlink_metadata().ok().and_then(|metadata| FileState::of(&metadata));
        self.seal.is_some_and(|seal| Some(seal.copy) == state)
    }

    /// Whether it has the name of a copy of a file with this name.
    fn has_name(&self, original: &OsStr) -> bool {
        let known = self.path.file_name().unwrap_or_default().to_string_lossy();
        known.split_once('-').is_some_and(|(_, known)| *known == *original)
    }

    fn remove(self) {
        // If this fails the file goes with its directory.
        let _ = fs::remove_file(self.path);
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(self.lock.take());
        if self.is_own() {
            // What is left after a failure is swept by another process.
            let _ = remove(&self.path);
        }
    }
}

/// Removes the directories of processes that are gone. What cannot be looked at or removed is somebody else's.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) || !platform::is_private_directory(&path)
        {
            continue;
        }
        // A directory whose process has not made its lock yet has none: it is left alone.
        if let Ok(file) = platform::open_at_once(&path.join(LOCK_NAME))
            && file.try_lock().is_ok()
        {
            drop(file);
            let _ = remove(&path);
        }
    }
}

/// Removes a directory; its lock last, by which another process knows it if something cannot be removed: Windows keeps
/// the files of images that are still mapped, until the process has ended.
fn remove(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()? {
        if entry.file_name() != LOCK_NAME {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir_all(directory)
}

/// Removes the directories with whatever is left in them: copies of modules that were never unloaded.
extern "C" fn remove_all() {
    // A thread that was stopped in the middle of a load must not keep the process from ending.
    let Ok(mut directories) = DIRECTORIES.try_lock() else { return };
    for directory in std::mem::take(&mut *directories).into_values().filter(|directory| directory.is_own()) {
        let path = directory.path.clone();
        // Closes the lock, unless copies are left.
        drop(directory);
        let _ = remove(&path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::STARTING_PROCESSES;
    use crate::platform::OpenedFile;

    fn open(path: &Path) -> OpenedFile {
        let opened = platform::open_regular_file(path).expect("the file can be opened");
        opened.expect("it is a regular file")
    }

    fn copy_from(original: &Path, name: &str, parent: &Path) -> StagedFile {
        let original = open(original);
        let origin = Origin::of(&original);
        StagedFile::copy(&original.file, &origin, Path::new(name), Some(parent))
            .expect("a file can be copied")
    }

    fn copy(parent: &Path) -> StagedFile {
        copy_from(&std::env::current_exe().expect("a program has a file"), "libx.so", parent)
    }

    fn tidy_away(directory_of: &Path) {
        fs::remove_dir_all(directory_of.parent().expect("a copy is in a directory"))
            .expect("the directory can be removed");
    }

    #[test]
    fn a_directory_that_was_tidied_away_is_made_again() {
        let parent = tempfile::tempdir().expect("there is a temporary directory");
        let first = copy(parent.path());
        tidy_away(first.path());
        assert!(copy(parent.path()).path().exists());
    }

    #[test]
    fn a_directory_that_was_tidied_away_with_its_spare_file_is_made_again() {
        let parent = tempfile::tempdir().expect("there is a temporary directory");
        let first = copy(parent.path());
        let path = first.path().to_owned();
        drop(first);
        tidy_away(&path);
        assert!(copy(parent.path()).path().exists());
    }

    fn copy_of(parent: &Path, bytes: &[u8], name: &str) -> StagedFile {
        let original = parent.join("original");
        fs::write(&original, bytes).expect("a file can be written");
        copy_from(&original, name, parent)
    }

    fn contents(staged: &StagedFile) -> Vec<u8> {
        fs::read(staged.path()).expect("a copy can be read")
    }

    #[test]
    fn the_file_of_a_copy_that_is_gone_is_overwritten() {
        let parent = tempfile::tempdir().expect("there is a temporary directory");
        let first = copy_of(parent.path(), b"the first", "liba.so");
        let path = first.path().to_owned();
        drop(first);
        let second = copy_of(parent.path(), b"second", "liba.so");
        assert_eq!(contents(&second), b"second");
        assert_eq!(second.path() == path, platform::TELLS_OTHER_USERS);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn files_of_some_copies_are_kept() {
        let _no_children = lock(&STARTING_PROCESSES);
        let parent = tempfile::tempdir().expect("there is a temporary directory");
        let paths = |numbers: std::ops::Range<usize>, bytes: &[u8]| {
            let copies: Vec<_> =
                numbers.map(|number| copy_of(parent.path(), bytes, &format!("lib{number}.so"))).collect();
            copies.iter().map(|copy| copy.path().to_owned()).collect::<Vec<_>>()
        };
        let first = paths(0..SPARES + 1, b"first");
        assert_eq!(
            first.iter().map(|path| path.exists()).collect::<Vec<_>>(),
            [false, true, true, true, true]
        );
        // Those of the same names are taken first, and then the oldest one, which gets the new name.
        assert_eq!(paths(2..SPARES + 1, b"second")[..], first[2..]);
        let renamed = copy_of(parent.path(), b"third", "libx.so");
        assert_eq!(contents(&renamed), b"third");
        assert!(renamed.path().to_string_lossy().ends_with("-libx.so") && !first[1].exists(), "{renamed:?}");
        drop(renamed);
        // A large one takes the place of all others, but one that is too large does not.
        let large = paths(9..10, &vec![0; SPARE_BYTES as usize]);
        assert!(large[0].exists() && !first[SPARES].exists());
        let too_large = paths(8..9, &vec![0; SPARE_BYTES as usize + 1]);
        assert!(!too_large[0].exists() && large[0].exists());
    }

    /// Copies a file that is known, as for a load; returns whether the copy had served before, and its path.
    #[cfg(target_os = "linux")]
    fn load_known(original: &OpenedFile, name: &str, parent: &Path) -> (bool, PathBuf) {
        let state = FileState::of(&original.metadata).expect("files have states");
        let origin = Origin::known(state);
        let copied = StagedFile::copy(&original.file, &origin, Path::new(name), Some(parent));
        let mut copy = copied.expect("it can be copied");
        let again = copy.is_sealed();
        if !again {
            fs::write(copy.path(), "changed").expect("a copy can be written");
            copy.seal(Some(state));
        }
        assert_eq!(contents(&copy), b"changed");
        (again, copy.path().to_owned())
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_copy_serves_again_as_long_as_it_and_its_original_are_unchanged() {
        let _no_children = lock(&STARTING_PROCESSES);
        let parent = tempfile::tempdir().expect("there is a temporary directory");
        let original_path = parent.path().join("original");
        fs::write(&original_path, "original").expect("a file can be written");
        let original = open(&original_path);
        let load = || load_known(&original, "liba.so", parent.path());
        let (again, path) = load();
        assert!(!again);
        assert_eq!(load(), (true, path.clone()));
        // Another name, and another file of the same name: neither takes the copy's place.
        assert!(!load_known(&original, "libb.so", parent.path()).0);
        let other_path = parent.path().join("other");
        fs::write(&other_path, "other").expect("a file can be written");
        let other = open(&other_path);
        let (again, path_of_other) = load_known(&other, "liba.so", parent.path());
        assert!(!again);
        assert_eq!(load(), (true, path.clone()));
        assert_eq!(load_known(&other, "liba.so", parent.path()), (true, path_of_other));
        // The clock that files get their times from advances by ticks.
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(&path, "damaged").expect("a copy can be written");
        assert_eq!(load(), (false, path.clone()));
        assert_eq!(load(), (true, path.clone()));
        // What is not known may be something else by now.
        let unknown = copy_from(&original_path, "liba.so", parent.path());
        assert!(!unknown.is_sealed() && unknown.path() == path);
        drop(unknown);
        assert_eq!(load(), (false, path.clone()));
        fs::write(&original_path, "another").expect("a file can be written");
        assert_eq!(load_known(&open(&original_path), "liba.so", parent.path()), (false, path));
    }

    #[test]
    fn a_file_that_somebody_has_open_is_left_alone() {
        let parent = tempfile::tempdir().expect("there is a temporary directory");
        let first = copy_of(parent.path(), b"first", "liba.so");
        let path = first.path().to_owned();
        let reader = File::open(&path).expect("a copy can be read");
        drop(first);
        let second = copy_of(parent.path(), b"second", "liba.so");
        assert_ne!(second.path(), path);
        assert_eq!(io::read_to_string(reader).expect("it is open"), "first");
    }

    #[test]
    fn each_parent_has_a_directory_of_its_own() {
        let parents = [(); 2].map(|()| tempfile::tempdir().expect("there is a temporary directory"));
        let copies = parents.each_ref().map(|parent| copy(parent.path()));
        for (copy, parent) in copies.iter().zip(&parents) {
            assert!(copy.path().starts_with(parent.path()), "{copy:?}");
        }
        assert_eq!(copy(parents[0].path()).path().parent(), copies[0].path().parent());
    }

    #[test]
    fn a_copy_of_a_file_with_the_longest_name_keeps_its_end() {
        let name = |original: &str| name_of_copy(12, original.as_ref()).into_string().expect("it is Unicode");
        assert_eq!(name("libx.so"), "12-libx.so");
        assert_eq!(name(&format!("{}.so", "x".repeat(252))), format!("12-{}.so", "x".repeat(249)));
        // No character is cut.
        assert_eq!(name(&format!("{}.so", "日".repeat(84))), format!("12-{}.so", "日".repeat(83)));
    }

    #[test]
    fn only_what_a_process_has_abandoned_is_swept() {
        let parent = tempfile::tempdir().expect("there is a temporary directory");
        let private = |prefix, file: &str| {
            let path = platform::private_directory(prefix, parent.path()).expect("it can be made").keep();
            fs::write(path.join(file), "").expect("it can be written");
            path
        };
        let abandoned = private(PREFIX, LOCK_NAME);
        let others = private("another-", LOCK_NAME);
        let without_lock = private(PREFIX, "unlocked");
        let kept = copy(parent.path());
        sweep(parent.path());
        assert!(!abandoned.exists());
        assert!(others.exists() && without_lock.exists() && kept.path().exists());
    }
}
