//! The thread that looks after a module's file.
//!
//! It sleeps until the system reports a change in the file's directory. A report says only that something has happened;
//! whether there is a new build, and a whole one, is decided by the file: nobody may have it open for writing, it must
//! verify, and it must differ from the build that was seen last. So no delay has to be chosen.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use relib_interface::imports::ProvidedImports;
use relib_interface::interface::ExportsHandle;

use super::event::ReloadError;
use super::options::WakeCallback;
use crate::file;
use crate::file::LoadError;
use crate::load::LoadOptions;
use crate::load::{Copied, Verified};
use crate::lock::lock;
use crate::platform::{self, OpenedFile};

/// Where builds come from, and how they are loaded.
#[derive(Clone)]
pub(super) struct Source {
    /// Absolute, with its links.
    pub(super) path: PathBuf,
    load: LoadOptions,
    pub(super) imports: Vec<ProvidedImports>,
}

impl Source {
    pub(super) fn new(
        path: &Path,
        mut load: LoadOptions,
        imports: Vec<ProvidedImports>,
    ) -> Result<Self, LoadError> {
        // Two builds are loaded at the same time, often from the same file.
        load.in_place = false;
        load.permanent = false;
        load.separate_instance = true;
        let absolute = std::path::absolute(path);
        let path = absolute.map_err(|source| LoadError::Inaccessible { path: path.to_owned(), source })?;
        Ok(Self { path, load, imports })
    }

    /// Copies the file as it is.
    pub(super) fn copy(&self) -> Result<Copied, LoadError> {
        Copied::of(&self.load, file::open(&self.path)?)
    }

    pub(super) fn inaccessible(&self, source: io::Error) -> LoadError {
        LoadError::Inaccessible { path: self.path.clone(), source }
    }
}

/// What the thread has found out.
pub(super) enum Finding<E> {
    Ready(Box<Verified<E>>),
    Incomplete,
    Refused(ReloadError),
}

/// Findings on their way to the host.
pub(super) struct Inbox<E> {
    findings: Mutex<Vec<Finding<E>>>,
    arrived: Condvar,
}

impl<E> Inbox<E> {
    fn put(&self, finding: Finding<E>) {
        let mut findings = lock(&self.findings);
        if matches!(finding, Finding::Ready(_)) {
            // The one before is out of date; its copy goes.
            findings.retain(|earlier| !matches!(earlier, Finding::Ready(_)));
        }
        findings.push(finding);
        self.arrived.notify_all();
    }

    fn take(&self) -> Vec<Finding<E>> {
        std::mem::take(&mut lock(&self.findings))
    }

    fn wait(&self, limit: Duration) -> bool {
        let waited = self
            .arrived
            .wait_timeout_while(lock(&self.findings), limit, |findings| findings.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        !waited.1.timed_out()
    }
}

/// What the thread is told.
enum Signal {
    /// Something has happened to the file.
    Changed,
    /// A directory is not what it was.
    Moved(PathBuf),
    Stop,
}

/// A watch that has begun to collect reports, and has no thread yet that reads them.
pub(super) struct Armed {
    source: Source,
    directories: Directories,
    signals: Sender<Signal>,
    received: Receiver<Signal>,
}

impl Armed {
    /// From here on no change of the file is missed.
    pub(super) fn new(source: &Source) -> Result<Self, ReloadError> {
        let (signals, received) = mpsc::channel();
        let failed = |error| ReloadError::Watch { path: source.path.clone(), source: error };
        let mut directories = Directories::new(source.path.clone(), signals.clone()).map_err(failed)?;
        directories.follow().map_err(failed)?;
        Ok(Self { source: source.clone(), directories, signals, received })
    }

    /// Starts the thread. `seen` is a copy of the build that is going to be loaded.
    pub(super) fn start<E: ExportsHandle>(
        self,
        seen: File,
        wake: Option<WakeCallback>,
    ) -> Result<Watch<E>, ReloadError> {
        let Self { source, directories, signals, received } = self;
        let path = source.path.clone();
        let inbox = Arc::new(Inbox { findings: Mutex::default(), arrived: Condvar::new() });
        let observer = Observer {
            source,
            directories,
            received,
            inbox: Arc::clone(&inbox),
            wake,
            seen,
            complaint: None,
            writing_since: None,
        };
        let thread = std::thread::Builder::new()
            .name("relib-reload".to_owned())
            .spawn(move || observer.run())
            .map_err(|error| ReloadError::Watch { path, source: notify::Error::io(error) })?;
        Ok(Watch { inbox, signals: Some(signals), thread: Some(thread), exports: PhantomData })
    }
}

/// The watch over a file; ends when dropped.
pub(super) struct Watch<E> {
    inbox: Arc<Inbox<E>>,
    signals: Option<Sender<Signal>>,
    thread: Option<JoinHandle<()>>,
    exports: PhantomData<fn() -> E>,
}

impl<E> Watch<E> {
    pub(super) fn take(&self) -> Vec<Finding<E>> {
        self.inbox.take()
    }

    pub(super) fn wait(&self, limit: Duration) -> bool {
        self.inbox.wait(limit)
    }
}

impl<E> Drop for Watch<E> {
    fn drop(&mut self) {
        if let Some(signals) = self.signals.take() {
            // If the thread is gone there is nobody to tell.
            let _ = signals.send(Signal::Stop);
        }
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been shown by the panic hook.
            let _ = thread.join();
        }
    }
}

/// The thread's side.
struct Observer<E> {
    source: Source,
    directories: Directories,
    received: Receiver<Signal>,
    inbox: Arc<Inbox<E>>,
    wake: Option<WakeCallback>,
    /// A copy of the build that was seen last, whether or not it was any good.
    seen: File,
    /// What was wrong with the file last.
    complaint: Option<Complaint>,
    /// Since when the file is open for writing, and whether the host knows.
    writing_since: Option<(Instant, bool)>,
}

/// A kind of failure that need not be told twice in a row.
#[derive(PartialEq, Eq)]
enum Complaint {
    /// The file is cut short. It grows piece by piece where it cannot be seen that somebody is writing.
    Short,
    Other(String),
}

/// Whether the file has to be looked at again without another report.
#[derive(PartialEq, Eq)]
enum Look {
    Done,
    Again,
}

/// For how long a file may be open for writing until the host is told.
const LONG_WRITE: Duration = Duration::from_secs(1);

/// Nobody reports the end of a write through a mapping: for as long as a file is open for writing it is looked at after
/// pauses that grow from the first to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(500));

impl<E: ExportsHandle> Observer<E> {
    fn run(mut self) {
        let mut pause = None;
        loop {
            let signal = match pause {
                None => self.received.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(pause) => self.received.recv_timeout(pause),
            };
            // One look serves for all reports that have come so far.
            for signal in std::iter::once(signal)
                .filter_map(|signal| match signal {
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => Some(Signal::Stop),
                    Ok(signal) => Some(signal),
                })
                .chain(std::iter::from_fn(|| self.received.try_recv().ok()))
            {
                match signal {
                    Signal::Changed => {}
                    Signal::Moved(path) => self.directories.forget(&path),
                    Signal::Stop => return self.end(),
                }
            }
            if let Err(source) = self.directories.follow() {
                let path = self.source.path.clone();
                self.complain(ReloadError::Watch { path, source });
            }
            pause = match self.look() {
                Look::Done => None,
                Look::Again => Some(pause.map_or(PAUSES.0, |pause| (pause * 2).min(PAUSES.1))),
            };
        }
    }

    /// Ends the system's watch too, so that nothing of it is left when this thread has ended.
    fn end(self) {
        let Self { directories, received, .. } = self;
        drop(directories);
        while received.recv().is_ok() {}
    }

    /// Looks at the file, and tells the host if there is something new.
    fn look(&mut self) -> Look {
        let opened = match file::open(&self.source.path) {
            Ok(opened) => opened,
            // Between a deletion and the next build; the module that is loaded does not need its file.
            Err(LoadError::Missing { .. }) => return Look::Done,
            Err(error) => {
                self.complain(ReloadError::Load(error));
                return Look::Done;
            }
        };
        if platform::is_open_for_writing(&opened.file) {
            return self.written();
        }
        let before = stamp(&opened.file);
        let staged = self.stage(&opened);
        // The copy may be half old and half new.
        if platform::is_open_for_writing(&opened.file) || stamp(&opened.file) != before {
            return self.written();
        }
        self.writing_since = None;
        let (copied, copy) = match staged {
            Ok(staged) => staged,
            Err(error) => {
                self.complain(ReloadError::Load(error));
                return Look::Done;
            }
        };
        let verified = {
            let _span = tracing::debug_span!("verify", path = %opened.path.display()).entered();
            copied.verify::<E>(&self.source.imports)
        };
        // Verification changes a copy that it accepts, and always in the same way.
        if have_same_contents(&copy, &self.seen).unwrap_or(false) {
            return Look::Done;
        }
        self.seen = copy;
        match verified {
            Ok(verified) => {
                self.complaint = None;
                self.tell(Finding::Ready(Box::new(verified)));
            }
            Err(error) => self.complain(ReloadError::Load(error)),
        }
        Look::Done
    }

    /// Copies the file, and opens the copy once more.
    fn stage(&self, opened: &OpenedFile) -> Result<(Copied, File), LoadError> {
        let _span = tracing::debug_span!("stage", path = %opened.path.display()).entered();
        let copied = Copied::of(&self.source.load, opened.clone())?;
        let copy = copied.reopen().map_err(|error| self.source.inaccessible(error))?;
        Ok((copied, copy))
    }

    /// Somebody is writing the file.
    fn written(&mut self) -> Look {
        let (since, told) = *self.writing_since.get_or_insert_with(|| (Instant::now(), false));
        if !told && since.elapsed() >= LONG_WRITE {
            self.writing_since = Some((since, true));
            self.tell(Finding::Incomplete);
        }
        Look::Again
    }

    fn complain(&mut self, error: ReloadError) {
        let complaint = match &error {
            ReloadError::Load(LoadError::Empty { .. } | LoadError::Truncated { .. }) => Complaint::Short,
            error => Complaint::Other(error.to_string()),
        };
        if self.complaint.as_ref() != Some(&complaint) {
            tracing::debug!(%error, "refused");
            self.complaint = Some(complaint);
            self.tell(Finding::Refused(error));
        }
    }

    fn tell(&self, finding: Finding<E>) {
        self.inbox.put(finding);
        if let Some(wake) = &self.wake {
            wake();
        }
    }
}

/// What changes when a file is written, also by somebody who has it open no longer.
fn stamp(file: &File) -> Option<(u64, SystemTime)> {
    let metadata = file.metadata().ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

/// The directories that are watched: the one that the file is in, also by a link, or what there is of its path.
struct Directories {
    watcher: RecommendedWatcher,
    /// The path of the file as it was given.
    path: PathBuf,
    /// That path without links in its directories and, if the file is a link, where it leads.
    targets: Arc<Mutex<Vec<PathBuf>>>,
    watched: BTreeSet<PathBuf>,
}

impl Directories {
    fn new(path: PathBuf, signals: Sender<Signal>) -> notify::Result<Self> {
        let targets = Arc::new(Mutex::new(vec![path.clone()]));
        let known = Arc::clone(&targets);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let Some(signal) = relevant(&event, &lock(&known)) else { return };
            // If the thread is gone there is nobody to tell.
            let _ = signals.send(signal);
        })?;
        Ok(Self { watcher, path, targets, watched: BTreeSet::new() })
    }

    /// Watches where the file is now, or will be when its directory is there again.
    fn follow(&mut self) -> notify::Result<()> {
        loop {
            // Directories are told apart by where they are, not by the links that lead there: the system has one watch for
            // each, whatever it is called.
            let mut targets = vec![without_links(&self.path)];
            targets.extend(self.path.canonicalize().ok().filter(|target| *target != targets[0]));
            let wanted: BTreeSet<PathBuf> =
                targets.iter().filter_map(|target| nearest_directory(target)).collect();
            *lock(&self.targets) = targets;
            if wanted == self.watched {
                return Ok(());
            }
            for directory in self.watched.difference(&wanted) {
                // It may be gone.
                let _ = self.watcher.unwatch(directory);
            }
            self.watched.retain(|directory| wanted.contains(directory));
            for directory in wanted {
                if !self.watched.contains(&directory) {
                    match self.watcher.watch(&directory, RecursiveMode::NonRecursive) {
                        Ok(()) => self.watched.insert(directory),
                        // It has just gone: there is another one to watch.
                        Err(_) if !directory.is_dir() => false,
                        Err(error) => return Err(error),
                    };
                }
            }
            // The path may have changed before the watch began: it is looked at again.
        }
    }

    /// A directory was deleted or moved, and its watch with it.
    fn forget(&mut self, directory: &Path) {
        if self.watched.remove(directory) {
            let _ = self.watcher.unwatch(directory);
        }
    }
}

/// A file's path without links in as much of its directory as there is.
fn without_links(file: &Path) -> PathBuf {
    let resolved = nearest_directory(file).and_then(|directory| {
        let rest = file.strip_prefix(&directory).ok()?;
        Some(directory.canonicalize().ok()?.join(rest))
    });
    resolved.unwrap_or_else(|| file.to_owned())
}

/// The innermost directory on the way to a file that there is.
fn nearest_directory(file: &Path) -> Option<PathBuf> {
    file.ancestors().skip(1).find(|ancestor| ancestor.is_dir()).map(Path::to_owned)
}

/// What a report means for files at these paths.
fn relevant(event: &notify::Result<Event>, targets: &[PathBuf]) -> Option<Signal> {
    // After a failure, as when the system's queue was full, anything may have happened.
    let Ok(event) = event else { return Some(Signal::Changed) };
    if event.need_rescan() {
        return Some(Signal::Changed);
    }
    let moved = match event.kind {
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => true,
        EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Create(_) => false,
        // That the file was opened or read, as by this thread, or that its times or permissions changed, is nothing.
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => return None,
        EventKind::Modify(_) | EventKind::Any | EventKind::Other => false,
    };
    let on_the_way = |path: &&PathBuf| targets.iter().any(|target| target.starts_with(path));
    let path = event.paths.iter().find(on_the_way)?;
    let is_directory = targets.iter().all(|target| target != path);
    Some(if moved && is_directory { Signal::Moved(path.clone()) } else { Signal::Changed })
}

/// Compares two files from beginning to end.
fn have_same_contents(mut one: &File, mut other: &File) -> io::Result<bool> {
    let len = one.metadata()?.len();
    if len != other.metadata()?.len() {
        return Ok(false);
    }
    one.seek(SeekFrom::Start(0))?;
    other.seek(SeekFrom::Start(0))?;
    let (mut ours, mut theirs) = (vec![0; 256 << 10], vec![0; 256 << 10]);
    let mut left = len;
    while left > 0 {
        let part = left.min(ours.len() as u64) as usize;
        one.read_exact(&mut ours[..part])?;
        other.read_exact(&mut theirs[..part])?;
        if ours[..part] != theirs[..part] {
            return Ok(false);
        }
        left -= part as u64;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use notify::event::{CreateKind, DataChange, MetadataKind, RemoveKind, RenameMode};

    use super::*;

    fn signal(kind: EventKind, path: &str) -> &'static str {
        let targets = [PathBuf::from("/work/target/debug/libmodule.so")];
        match relevant(&Ok(Event::new(kind).add_path(path.into())), &targets) {
            None => "nothing",
            Some(Signal::Changed) => "changed",
            Some(Signal::Moved(_)) => "moved",
            Some(Signal::Stop) => "stop",
        }
    }

    #[test]
    fn reports_about_the_file_and_its_directories_matter() {
        const FILE: &str = "/work/target/debug/libmodule.so";
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        assert_eq!(signal(written, FILE), "changed");
        assert_eq!(signal(written, "/work/target/debug/libother.so"), "nothing");
        assert_eq!(signal(EventKind::Create(CreateKind::Folder), "/work/target"), "changed");
        assert_eq!(signal(EventKind::Remove(RemoveKind::Folder), "/work/target/debug"), "moved");
        assert_eq!(signal(EventKind::Remove(RemoveKind::File), FILE), "changed");
        assert_eq!(signal(EventKind::Modify(ModifyKind::Name(RenameMode::To)), FILE), "changed");
        // What looking at the file brings about itself.
        assert_eq!(signal(EventKind::Access(AccessKind::Open(AccessMode::Any)), FILE), "nothing");
        assert_eq!(signal(EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)), FILE), "nothing");
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        assert_eq!(signal(closed, FILE), "changed");
    }

    #[test]
    fn a_lost_report_makes_the_file_be_looked_at() {
        let targets = [PathBuf::from("/work/libmodule.so")];
        let lost = Err(notify::Error::generic("the queue was full"));
        assert!(matches!(relevant(&lost, &targets), Some(Signal::Changed)));
    }

    #[test]
    fn contents_are_compared_to_the_end() {
        let file = |contents: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(contents).unwrap();
            file
        };
        let long = vec![7; 600 << 10];
        let mut other = long.clone();
        *other.last_mut().unwrap() = 8;
        assert!(have_same_contents(&file(&long), &file(&long)).unwrap());
        assert!(!have_same_contents(&file(&long), &file(&other)).unwrap());
        assert!(!have_same_contents(&file(&long), &file(&long[1..])).unwrap());
        assert!(have_same_contents(&file(b""), &file(b"")).unwrap());
    }

    #[test]
    fn a_file_is_open_for_writing_until_it_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let writer = File::create(&path).unwrap();
        let reader = File::open(&path).unwrap();
        assert!(platform::is_open_for_writing(&reader));
        drop(writer);
        assert!(!platform::is_open_for_writing(&reader));
        // Other readers do not count.
        let _another = File::open(&path).unwrap();
        assert!(!platform::is_open_for_writing(&reader));
    }
}
