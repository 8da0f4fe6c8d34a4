//! Files that were verified and have not changed since: what was found in them is remembered, so that a module that is
//! loaded again and again is not verified each time.
//!
//! It rests on what the system notes of each change of a file ([`FileState`]), and only where the system notes all of
//! them. Most files are loaded once: whether the system does is asked, and what was found is kept, at the second load.
//! Nothing is remembered of what a host asks of a module: that is compared at each load.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Mutex};

use crate::image::ImageFile;
use crate::lock::lock;
use crate::platform::{FileState, OpenedFile};

/// How many files are remembered; the one whose last load is the longest ago makes way for another.
const MOST: usize = 64;

static KNOWN: Mutex<Known> = Mutex::new(Known(VecDeque::new()));

/// Files, each by the state in which it was loaded last; the one whose load is the latest is at the end.
struct Known(VecDeque<(FileState, Knowledge)>);

/// What is known of a file in some state.
#[derive(Clone, Debug)]
enum Knowledge {
    Loaded,
    Verified(Arc<ImageFile>),
}

impl Known {
    /// Notes a load of a file; returns what was known of it before.
    fn load(&mut self, state: FileState) -> Option<Knowledge> {
        let before = self.remove(state);
        let before = before.and_then(|(other, knowledge)| (other == state).then_some(knowledge));
        self.add(state, before.clone().unwrap_or(Knowledge::Loaded));
        before
    }

    /// Notes what was found in a file.
    fn keep(&mut self, state: FileState, image: Arc<ImageFile>) {
        self.remove(state);
        self.add(state, Knowledge::Verified(image));
    }

    fn remove(&mut self, state: FileState) -> Option<(FileState, Knowledge)> {
        let index = self.0.iter().rposition(|(other, _)| state.is_of_same_file(other))?;
        self.0.remove(index)
    }

    fn add(&mut self, state: FileState, knowledge: Knowledge) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back((state, knowledge));
    }
}

/// What a file was like when its load began.
#[derive(Debug)]
pub(crate) struct Origin {
    state: Option<FileState>,
    /// Whether a change since then is noticed.
    settled: bool,
    image: Option<Arc<ImageFile>>,
}

impl Origin {
    /// Looks at a file before anything is read from it.
    pub(crate) fn of(opened: &OpenedFile) -> Self {
        let state = FileState::of(&opened.metadata);
        let (settled, image) = match state.and_then(|state| lock(&KNOWN).load(state)) {
            None => (false, None),
            Some(Knowledge::Loaded) => (state.is_some_and(|state| state.is_settled(&opened.file)), None),
            Some(Knowledge::Verified(image)) => (true, Some(image)),
        };
        Self { state, settled, image }
    }

    /// Of a file that is known in this state.
    #[cfg(all(test, target_os = "linux"))]
    pub(crate) fn known(state: FileState) -> Self {
        Self { state: Some(state), settled: true, image: Some(Arc::default()) }
    }

    /// The state of the file, which may change without notice.
    pub(crate) fn state(&self) -> Option<FileState> {
        self.state
    }

    /// What is known to be in the file.
    pub(crate) fn known_image(&self) -> Option<&Arc<ImageFile>> {
        self.image.as_ref()
    }

    /// The state by which the file is known.
    pub(crate) fn known_state(&self) -> Option<FileState> {
        self.state.filter(|_| self.image.is_some())
    }

    /// Remembers what verification has found in `file`, or in a copy of it, since this was made, if that is possible.
    pub(crate) fn remember(&mut self, file: &File, mut image: ImageFile) -> Arc<ImageFile> {
        self.image = None;
        let state = self.state.filter(|state| self.settled && Some(*state) == state_of(file));
        // What is no module is loaded in vain.
        let Some(state) = state.filter(|_| image.metadata.is_some()) else { return Arc::new(image) };
        image.shrink_to_fit();
        let image = Arc::new(image);
        self.image = Some(Arc::clone(&image));
        lock(&KNOWN).keep(state, Arc::clone(&image));
        image
    }
}

fn state_of(file: &File) -> Option<FileState> {
    FileState::of(&file.metadata().ok()?)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::FileExt as _;
    use std::path::{Path, PathBuf};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::lock::STARTING_PROCESSES;
    use crate::platform;

    fn files<const N: usize>(directory: &Path) -> [PathBuf; N] {
        let paths = std::array::from_fn(|number| directory.join(number.to_string()));
        for path in &paths {
            std::fs::write(path, "contents").expect("a file can be written");
        }
        paths
    }

    fn open(path: &Path) -> OpenedFile {
        let opened = platform::open_regular_file(path).expect("the file can be opened");
        opened.expect("it is a regular file")
    }

    fn writer(path: &Path) -> File {
        File::options().read(true).write(true).open(path).expect("the file can be opened for writing")
    }

    fn module() -> ImageFile {
        ImageFile { metadata: Some(Vec::new()), ..ImageFile::default() }
    }

    /// Loads the file once more; returns whether it was known.
    fn load(path: &Path) -> bool {
        let opened = open(path);
        let mut origin = Origin::of(&opened);
        let known = origin.known_image().is_some();
        if !known {
            origin.remember(&opened.file, module());
        }
        known
    }

    /// Loads the file as often as it takes to know it; returns whether it is known then.
    fn is_remembered(path: &Path) -> bool {
        load(path);
        load(path);
        load(path)
    }

    #[test]
    fn a_file_is_known_until_it_changes() {
        let directory = tempfile::tempdir().expect("there is a temporary directory");
        let [written, cut, replaced, renamed, open_for_writing, mapped, during_load, text] =
            files(directory.path());
        let in_memory = tempfile::tempdir_in("/dev/shm").expect("there is a directory in memory");
        let [in_memory] = files(in_memory.path());
        assert!(!is_remembered(&written));
        thread::sleep(Duration::from_millis(3100));
        let _no_children = lock(&STARTING_PROCESSES);
        assert!(!is_remembered(&in_memory));
        let opened = open(&written);
        let state = FileState::of(&opened.metadata).expect("files have states");
        if !state.is_settled(&opened.file) {
            // The file system does not note each change.
            assert!(!is_remembered(&written));
            return;
        }

        // It was loaded before.
        assert!(!load(&written) && load(&written));
        let modified = open(&written).metadata.modified().expect("the system keeps the time");
        let file = writer(&written);
        file.write_all_at(b"C", 0).expect("the file can be written");
        file.set_modified(modified).expect("the time can be set");
        drop(file);
        // It has just changed, and may change again at the same time.
        assert!(!is_remembered(&written));

        assert!(!load(&cut) && !load(&cut) && load(&cut));
        writer(&cut).set_len(3).expect("the file can be cut");
        assert!(!load(&cut));

        assert!(is_remembered(&replaced) && is_remembered(&renamed));
        std::fs::rename(&renamed, &replaced).expect("a file can be renamed");
        // The system notes that as a change too.
        assert!(!load(&replaced));

        let file = writer(&open_for_writing);
        assert!(!is_remembered(&open_for_writing));
        drop(file);
        assert!(is_remembered(&open_for_writing));

        // What a mapping that was there before has written is not noticed by the time of its last change.
        let file = writer(&mapped);
        // SAFETY: the call makes a new mapping of an open file.
        let mapping = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), 8, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        assert_ne!(mapping, libc::MAP_FAILED);
        drop(file);
        assert!(!is_remembered(&mapped));
        // SAFETY: the mapping is ours, and nothing refers to it.
        unsafe { libc::munmap(mapping, 8) };
        assert!(is_remembered(&mapped));

        // A file that changes while it is copied or verified.
        load(&during_load);
        let opened = open(&during_load);
        let mut origin = Origin::of(&opened);
        writer(&during_load).write_all_at(b"C", 0).expect("the file can be written");
        origin.remember(&opened.file, module());
        assert!(origin.known_state().is_none() && !load(&during_load));

        load(&text);
        let opened = open(&text);
        Origin::of(&opened).remember(&opened.file, ImageFile::default());
        assert!(!load(&text), "what is no module is not remembered");
    }

    #[test]
    fn a_known_file_that_changes_while_it_is_copied_is_not_known_any_more() {
        let directory = tempfile::tempdir().expect("there is a temporary directory");
        let [path] = files(directory.path());
        let opened = open(&path);
        let state = FileState::of(&opened.metadata).expect("files have states");
        for change in [false, true] {
            let mut origin = Origin::known(state);
            if change {
                writer(&path).set_len(3).expect("the file can be cut");
            }
            origin.remember(&opened.file, module());
            assert_eq!(origin.known_state().is_some(), !change);
        }
    }

    #[test]
    fn what_was_loaded_the_longest_ago_is_forgotten() {
        let directory = tempfile::tempdir().expect("there is a temporary directory");
        let paths: [PathBuf; MOST + 1] = files(directory.path());
        let states =
            paths.each_ref().map(|path| FileState::of(&open(path).metadata).expect("files have states"));
        let mut known = Known(VecDeque::new());
        let is_verified =
            |known: &mut Known, state| matches!(known.load(state), Some(Knowledge::Verified(_)));
        for state in &states[..MOST] {
            assert!(known.load(*state).is_none());
            known.keep(*state, Arc::default());
        }
        assert!(states[..MOST].iter().all(|state| is_verified(&mut known, *state)));
        // Now the first one is the oldest.
        assert!(is_verified(&mut known, states[0]));
        assert!(known.load(states[MOST]).is_none());
        assert!(is_verified(&mut known, states[0]) && is_verified(&mut known, states[2]));
        assert!(known.load(states[1]).is_none());
    }

    #[test]
    fn a_file_is_known_in_one_state() {
        let directory = tempfile::tempdir().expect("there is a temporary directory");
        let [path] = files(directory.path());
        let state_of = || FileState::of(&open(&path).metadata).expect("files have states");
        let before = state_of();
        let mut known = Known(VecDeque::new());
        known.keep(before, Arc::default());
        writer(&path).set_len(3).expect("the file can be cut");
        assert!(known.load(state_of()).is_none());
        assert!(known.load(before).is_none() && known.0.len() == 1);
    }
}
