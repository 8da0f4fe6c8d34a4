//! Files that were verified and have not changed since: what was found in them is remembered, so that a module that is
//! loaded again is not read again.
//!
//! It rests on what the system notes of each change of a file ([`FileState`]), and only where the system notes all of
//! them. Nothing is remembered of what a host asks of a module: that is compared at each load.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Mutex};

use crate::image::ImageFile;
use crate::imp::{FileState, OpenedFile};
use crate::runtime::lock;

/// How many files are remembered; the one whose last load is the longest ago makes way for another.
const MOST: usize = 64;

static KNOWN: Mutex<Known> = Mutex::new(Known(VecDeque::new()));

/// Files, each by the state in which it was verified; the one that was loaded last is at the end.
struct Known(VecDeque<(FileState, Arc<ImageFile>)>);

impl Known {
    fn find(&mut self, state: FileState) -> Option<Arc<ImageFile>> {
        let index = self.0.iter().rposition(|(other, _)| *other == state)?;
        let found = self.0.remove(index)?;
        let image = Arc::clone(&found.1);
        self.0.push_back(found);
        Some(image)
    }

    fn add(&mut self, state: FileState, image: Arc<ImageFile>) {
        self.0.retain(|(other, _)| !state.is_of_same_file(other));
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back((state, image));
    }
}

/// What a file was like when its load began.
#[derive(Debug)]
pub(crate) struct Origin {
    /// `None` if a change would not be noticed.
    state: Option<FileState>,
    image: Option<Arc<ImageFile>>,
}

impl Origin {
    /// Looks at a file before anything is read from it.
    pub(crate) fn of(opened: &OpenedFile) -> Self {
        let state = FileState::of(&opened.metadata);
        let image = state.and_then(|state| lock(&KNOWN).find(state));
        Self { state: state.filter(|state| image.is_some() || state.is_settled(&opened.file)), image }
    }

    /// What is known to be in the file.
    pub(crate) fn known_image(&self) -> Option<&Arc<ImageFile>> {
        self.image.as_ref()
    }

    /// The state of a file that is known.
    pub(crate) fn known_state(&self) -> Option<FileState> {
        self.state.filter(|_| self.image.is_some())
    }

    /// Looks at the file again when it has been copied. If it is not what it was, nothing is known of the copy.
    pub(crate) fn confirm(&mut self, file: &File) {
        if self.state.is_some() && self.state != state_of(file) {
            *self = Self { state: None, image: None };
        }
    }

    /// Remembers what verification has found in `file`, or in a copy of it, since this was made, if that is possible.
    pub(crate) fn remember(&mut self, file: &File, mut image: ImageFile) -> Arc<ImageFile> {
        self.confirm(file);
        let Some(state) = self.state else { return Arc::new(image) };
        image.shrink_to_fit();
        let image = Arc::new(image);
        self.image = Some(Arc::clone(&image));
        lock(&KNOWN).add(state, Arc::clone(&image));
        image
    }
}

fn state_of(file: &File) -> Option<FileState> {
    FileState::of(&file.metadata().ok()?)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::FileExt as _;
    use std::path::{Path, PathBuf};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::imp;

    fn files<const N: usize>(directory: &Path) -> [PathBuf; N] {
        let paths = std::array::from_fn(|number| directory.join(number.to_string()));
        for path in &paths {
            std::fs::write(path, "contents").expect("a file can be written");
        }
        paths
    }

    fn open(path: &Path) -> OpenedFile {
        let opened = imp::open_regular_file(path).expect("the file can be opened");
        opened.expect("it is a regular file")
    }

    fn image_of(path: &Path) -> Option<Arc<ImageFile>> {
        Origin::of(&open(path)).known_image().cloned()
    }

    fn writer(path: &Path) -> File {
        File::options().read(true).write(true).open(path).expect("the file can be opened for writing")
    }

    /// Has the file remembered, if it can be, and tells whether it is.
    fn remember(path: &Path) -> bool {
        let opened = open(path);
        let image = Origin::of(&opened).remember(&opened.file, ImageFile::default());
        image_of(path).is_some_and(|known| Arc::ptr_eq(&known, &image))
    }

    #[test]
    fn a_file_is_known_until_it_changes() {
        let directory = tempfile::tempdir().expect("there is a temporary directory");
        let [written, cut, replaced, renamed, open_for_writing, mapped, copied] = files(directory.path());
        let in_memory = tempfile::tempdir_in("/dev/shm").expect("there is a directory in memory");
        let [in_memory] = files(in_memory.path());
        assert!(!remember(&written));
        thread::sleep(Duration::from_millis(3100));
        assert!(!remember(&in_memory));
        if !imp::notes_changes(&open(&written).file) {
            assert!(!remember(&written));
            return;
        }

        assert!(image_of(&written).is_none());
        assert!(remember(&written));
        let modified = open(&written).metadata.modified().expect("the system keeps the time");
        let file = writer(&written);
        file.write_all_at(b"C", 0).expect("the file can be written");
        file.set_modified(modified).expect("the time can be set");
        drop(file);
        assert!(image_of(&written).is_none());
        // It has just changed, and may change again at the same time.
        assert!(!remember(&written));

        assert!(remember(&cut));
        writer(&cut).set_len(3).expect("the file can be cut");
        assert!(image_of(&cut).is_none());

        assert!(remember(&replaced) && remember(&renamed));
        std::fs::rename(&renamed, &replaced).expect("a file can be renamed");
        // The system notes that as a change too.
        assert!(image_of(&replaced).is_none());

        let file = writer(&open_for_writing);
        assert!(!remember(&open_for_writing));
        drop(file);
        assert!(remember(&open_for_writing));

        // What a mapping that was there before has written is not noticed by the time of its last change.
        let file = writer(&mapped);
        // SAFETY: the call makes a new mapping of an open file.
        let mapping = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(
                std::ptr::null_mut(),
                8,
                protection,
                libc::MAP_SHARED,
                std::os::fd::AsRawFd::as_raw_fd(&file),
                0,
            )
        };
        assert_ne!(mapping, libc::MAP_FAILED);
        drop(file);
        assert!(!remember(&mapped));
        // SAFETY: the mapping is ours, and nothing refers to it.
        unsafe { libc::munmap(mapping, 8) };
        assert!(remember(&mapped));

        // A file that changes while it is copied or verified.
        let opened = open(&copied);
        let mut origin = Origin::of(&opened);
        writer(&copied).write_all(b"C").expect("the file can be written");
        origin.remember(&opened.file, ImageFile::default());
        assert!(origin.known_image().is_none() && image_of(&copied).is_none());
    }

    #[test]
    fn what_was_loaded_the_longest_ago_is_forgotten() {
        let directory = tempfile::tempdir().expect("there is a temporary directory");
        let paths: [PathBuf; MOST + 1] = files(directory.path());
        let states =
            paths.each_ref().map(|path| FileState::of(&open(path).metadata).expect("files have states"));
        let mut known = Known(VecDeque::new());
        for state in &states[..MOST] {
            known.add(*state, Arc::default());
        }
        assert!(states[..MOST].iter().all(|state| known.0.iter().any(|(other, _)| other == state)));
        assert!(known.find(states[0]).is_some());
        known.add(states[MOST], Arc::default());
        assert!(known.find(states[0]).is_some() && known.find(states[1]).is_none());
        // A file has one state at a time.
        known.add(states[2], Arc::default());
        assert_eq!(known.0.len(), MOST);
    }
}
