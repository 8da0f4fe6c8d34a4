//! Files, descriptors, mappings and signals.

use std::ffi::{CStr, CString, c_char, c_int};
use std::fs::{File, Metadata};
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::platform::{DescriptorKind, OpenedFile};

/// Tells files apart, whatever paths lead to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(crate) fn of(opened: &OpenedFile) -> io::Result<Self> {
        Ok(Self::new(&opened.metadata))
    }

    /// The file that a path leads to.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::new(&path.metadata()?))
    }

    fn new(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// What has to stay open while the identity is remembered: the system gives the number of a deleted file to a new
    /// one as soon as nobody has it open.
    pub(crate) fn keep(file: &Arc<File>) -> Option<Arc<File>> {
        Some(Arc::clone(file))
    }
}

/// What the system notes of each change of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileState {
    id: FileId,
    /// In bytes. A file that is cut is shorter before it has the time of that.
    len: u64,
    /// Time of the last change, in seconds and nanoseconds: of the contents or of what the file system notes of them, so
    /// that it cannot be set without writing the file system itself (`inode(7)`).
    changed: (i64, i64),
}

impl FileState {
    /// How long ago the last change must be to have a time of its own. The clock that the kernel takes such times from
    /// advances by ticks, which are far shorter.
    const SETTLING: Duration = Duration::from_secs(3);

    /// The state of a file by its metadata. Of a file that others write, only a [settled](Self::is_settled) one says what
    /// the file holds.
    pub(crate) fn of(metadata: &Metadata) -> Option<Self> {
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Some(Self { id: FileId::new(metadata), len: metadata.len(), changed })
    }

    /// Whether `file` is in this state, and has another one when it has changed. False also where the system cannot tell.
    ///
    /// The file must have been opened for reading only.
    pub(crate) fn is_settled(&self, file: &File) -> bool {
        // Through a mapping that is there already, a page can be written again and again for one change of the time.
        self.is_long_ago()
            && notes_changes(file)
            && lease(file, libc::F_RDLCK).is_ok()
            && file.metadata().is_ok_and(|metadata| Self::of(&metadata) == Some(*self))
    }

    /// Whether the last change was so long ago that another one has another time.
    fn is_long_ago(&self) -> bool {
        // Without nanoseconds the file system keeps seconds, or was not written by a kernel: then another one in its place
        // may have a file with this very state.
        let (Ok(seconds), Ok(nanoseconds @ 1..)) =
            (u64::try_from(self.changed.0), u32::try_from(self.changed.1))
        else {
            return false;
        };
        let settled = UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds) + Self::SETTLING);
        settled.is_some_and(|settled| settled <= SystemTime::now())
    }

    /// Whether both are states of one file.
    pub(crate) fn is_of_same_file(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// Whether a file system notes each change of a file, and knows of each mapping through which one can be made.
///
/// Not so `tmpfs`, where a page that was read through a mapping is written without a notice; `overlayfs`, which forgets a
/// mapping when its descriptor is closed; and those whose files other systems change.
fn notes_changes(file: &File) -> bool {
    const KNOWN: [i64; 3] = [libc::BTRFS_SUPER_MAGIC, libc::EXT4_SUPER_MAGIC, libc::XFS_SUPER_MAGIC];
    let mut status = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `fstatfs` writes a `statfs` if it succeeds, and accepts any number as a descriptor.
    (unsafe { libc::fstatfs(file.as_raw_fd(), status.as_mut_ptr()) } == 0)
        // SAFETY: `fstatfs` succeeded.
        .then(|| unsafe { status.assume_init() })
        .is_some_and(|status| KNOWN.contains(&status.f_type))
}

/// Whether anybody has a file open for writing, or mapped it in a way that it can be written through; false where the
/// file system cannot tell.
///
/// The file must have been opened for reading only.
#[cfg(feature = "reload")]
pub(crate) fn is_open_for_writing(file: &File) -> bool {
    // The kernel grants a lease for reading exactly when nobody can write.
    lease(file, libc::F_RDLCK).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Whether [`is_used_by_others`] can be told on this platform.
pub(crate) const TELLS_OTHER_USERS: bool = true;

/// Whether anybody else has a file open or mapped; true where the file system cannot tell.
pub(crate) fn is_used_by_others(file: &File) -> bool {
    // The kernel grants a lease for writing exactly when this is the only open file.
    lease(file, libc::F_WRLCK).is_err()
}

/// Asks the kernel for a lease, which is given back at once.
fn lease(file: &File, kind: c_int) -> io::Result<()> {
    /// `F_SETSIG` of Linux (`asm-generic/fcntl.h`).
    const F_SETSIG: c_int = 10;
    let descriptor = file.as_raw_fd();
    // Should somebody ask for the file in between, the kernel tells this process by a signal, which must be one that is
    // ignored by default.
    // SAFETY: the calls take a number each and change nothing but the descriptor's own state.
    unsafe {
        if libc::fcntl(descriptor, F_SETSIG, libc::SIGURG) == 0
            && libc::fcntl(descriptor, libc::F_SETLEASE, kind) == 0
        {
            libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_UNLCK);
            return Ok(());
        }
    }
    Err(io::Error::last_os_error())
}

/// What a descriptor refers to, as far as it does not change while it is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DescriptorIdentity {
    device: u64,
    inode: u64,
    mode: u32,
    /// For what has no file type, `anon_inode:[eventpoll]` and the like: the kernel gives one inode to all of them.
    anonymous: Option<String>,
}

impl DescriptorIdentity {
    /// `None` if the descriptor is not open.
    pub(crate) fn of(descriptor: i32) -> Option<Self> {
        let status = status(descriptor)?;
        let mode = status.st_mode & libc::S_IFMT;
        let anonymous = (mode == 0).then(|| descriptor_target(descriptor));
        Some(Self { device: status.st_dev, inode: status.st_ino, mode, anonymous })
    }

    pub(crate) fn kind(&self) -> DescriptorKind {
        match self.mode {
            libc::S_IFREG => DescriptorKind::File,
            libc::S_IFDIR => DescriptorKind::Directory,
            libc::S_IFSOCK => DescriptorKind::Socket,
            libc::S_IFIFO => DescriptorKind::Pipe,
            libc::S_IFCHR | libc::S_IFBLK => DescriptorKind::Device,
            _ => DescriptorKind::Anonymous,
        }
    }
}

fn status(descriptor: i32) -> Option<libc::stat> {
    let mut status = MaybeUninit::uninit();
    // SAFETY: `fstat` writes a `stat` if it succeeds, and accepts any number as a descriptor.
    (unsafe { libc::fstat(descriptor, status.as_mut_ptr()) } == 0)
        // SAFETY: `fstat` succeeded.
        .then(|| unsafe { status.assume_init() })
}

/// What the kernel shows for a descriptor.
pub(crate) fn descriptor_target(descriptor: i32) -> String {
    std::fs::read_link(format!("/proc/self/fd/{descriptor}"))
        .map_or_else(|_| String::new(), |target| target.to_string_lossy().into_owned())
}

/// Closes a descriptor that a module left open.
pub(crate) fn close_descriptor(descriptor: i32) {
    // SAFETY: the ledger found that the descriptor is still the one that the module opened, and the module, its owner,
    // is gone. An error means that it is closed.
    unsafe { libc::close(descriptor) };
}

/// Unmaps a range.
///
/// # Safety
/// Nothing may use the range any more.
pub(crate) unsafe fn unmap(address: usize, len: usize) {
    // SAFETY: as the caller guarantees. An error means that nothing is mapped there.
    unsafe { libc::munmap(std::ptr::without_provenance_mut(address), len) };
}

/// Size in bytes of a page.
pub(crate) fn page_size() -> usize {
    static PAGE_SIZE: OnceLock<usize> = OnceLock::new();
    *PAGE_SIZE.get_or_init(|| {
        // SAFETY: the function has no preconditions.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(size).expect("a system has a page size")
    })
}

/// Those of `signals` whose handler is inside `image`.
pub(crate) fn handlers_inside(image: &Range<usize>, signals: impl Iterator<Item = i32>) -> Vec<i32> {
    signals
        .filter(|signal| {
            let mut action = MaybeUninit::<libc::sigaction>::zeroed();
            // SAFETY: without a new action the call only stores the current one, and it accepts any signal number.
            let result = unsafe { libc::sigaction(*signal, std::ptr::null(), action.as_mut_ptr()) };
            // SAFETY: all bytes were initialised, and zero is a valid `sigaction`.
            result == 0 && image.contains(&unsafe { action.assume_init() }.sa_sigaction)
        })
        .collect()
}

/// The name of a signal, with its number, as in `SIGUSR1 (10)`.
pub(crate) fn signal_name(signal: i32) -> String {
    // SAFETY: the function accepts any number, and returns null or a text that is never changed or freed.
    let name = unsafe {
        let name = sigabbrev_np(signal);
        (!name.is_null()).then(|| CStr::from_ptr(name))
    };
    match name {
        Some(name) => format!("SIG{} ({signal})", name.to_string_lossy()),
        None => signal.to_string(),
    }
}

unsafe extern "C" {
    /// Not declared by `libc`.
    fn sigabbrev_np(signal: c_int) -> *const c_char;
}

/// Has `function` called when the process ends normally, or when this library is closed.
pub(crate) fn at_process_exit(function: extern "C" fn()) {
    // SAFETY: the function stays callable as long as this image is loaded, and glibc calls it at the image's end at
    // the latest. If registering fails, there is no memory, and the next process cleans up.
    unsafe { libc::atexit(function) };
}

/// Whether this is a directory of this user's that nobody else may enter.
pub(crate) fn is_private_directory(path: &Path) -> bool {
    // SAFETY: the function has no preconditions.
    let user = unsafe { libc::geteuid() };
    path.symlink_metadata().is_ok_and(|metadata| {
        metadata.is_dir() && metadata.uid() == user && metadata.permissions().mode() & 0o077 == 0
    })
}

/// Copies what a file holds, and returns its length: by `copy_file_range`, which shares the blocks where the file system
/// can.
pub(crate) fn copy_contents(mut original: &File, mut copy: &File) -> io::Result<u64> {
    io::copy(&mut original, &mut copy)
}

/// Opens a file for reading; what is no regular file is neither waited for nor followed.
pub(crate) fn open_at_once(path: &Path) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Opens a file for reading, and finds the path that leads to it without links; `None` if it is no regular file.
pub(crate) fn open_regular_file(path: &Path) -> io::Result<Option<OpenedFile>> {
    let regular = |path, file: File| {
        let metadata = file.metadata()?;
        Ok(metadata.is_file().then(|| OpenedFile { path, file: Arc::new(file), metadata }))
    };
    if let Some(file) = open_without_links(path)
        && let Some(opened) = regular(path.to_owned(), file)?
    {
        return Ok(Some(opened));
    }
    let path = path.canonicalize()?;
    // So that nothing is waited for, should it be a pipe or a device.
    match File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path) {
        Ok(file) => regular(path, file),
        // A socket cannot be opened.
        Err(_) if path.metadata().is_ok_and(|metadata| !metadata.is_file()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Keeps what is at a path from being replaced: nothing does that here.
pub(crate) fn hold_in_place(_path: &Path) -> Option<File> {
    None
}

/// Opens a file by the one path that leads to it without links; `None` if this is another one, or the kernel cannot tell.
///
/// Asking for the real path takes a system call for each of its parts, and most paths are real.
fn open_without_links(path: &Path) -> Option<File> {
    let mut bytes = path.as_os_str().as_bytes().strip_prefix(b"/")?.split(|byte| *byte == b'/');
    if bytes.any(|part| matches!(part, b"" | b"." | b"..")) {
        return None;
    }
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: zero is a valid value of all fields.
    let mut how = unsafe { MaybeUninit::<libc::open_how>::zeroed().assume_init() };
    how.flags = (libc::O_RDONLY | libc::O_NONBLOCK | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_NO_SYMLINKS;
    // SAFETY: the call reads a path that ends with a zero byte and a structure of the size that it is told, and returns a
    // descriptor or a negative number.
    unsafe {
        let size = size_of::<libc::open_how>();
        let result = libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, path.as_ptr(), &raw const how, size);
        (result >= 0).then(|| File::from_raw_fd(result as c_int))
    }
}

/// Makes a directory under `parent` that only this user may enter.
pub(crate) fn private_directory(prefix: &str, parent: &Path) -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix(prefix)
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)
}
