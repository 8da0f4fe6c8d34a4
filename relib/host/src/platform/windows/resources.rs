//! Files, handles and memory.

use std::ffi::{OsStr, c_void};
use std::fs::{File, Metadata};
use std::io::{self, BufReader};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;
use std::path::{Component, Path, PathBuf, Prefix};
use std::sync::{Arc, OnceLock};

use windows_sys::Win32::Foundation::{CloseHandle, HANDLE};
#[cfg(feature = "reload")]
use windows_sys::Win32::Foundation::{ERROR_SHARING_VIOLATION, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Networking::WinSock::{SO_TYPE, SOCKET, SOL_SOCKET, closesocket, getsockopt};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_ATTRIBUTE_DIRECTORY, FILE_FLAG_OPEN_REPARSE_POINT, FILE_SHARE_READ,
    FILE_TYPE_CHAR, FILE_TYPE_DISK, FILE_TYPE_PIPE, GetFileInformationByHandle, GetFileType,
    GetFinalPathNameByHandleW,
};
#[cfg(feature = "reload")]
use windows_sys::Win32::Storage::FileSystem::{FILE_GENERIC_READ, FILE_SHARE_DELETE, ReOpenFile};
use windows_sys::Win32::System::Memory::{
    MEM_FREE, MEM_MAPPED, MEM_RELEASE, MEMORY_BASIC_INFORMATION, MEMORY_MAPPED_VIEW_ADDRESS, UnmapViewOfFile,
    VirtualFree, VirtualQuery,
};
use windows_sys::Win32::System::SystemInformation::{GetSystemInfo, SYSTEM_INFO};

use crate::platform::{DescriptorKind, OpenedFile};

/// Tells files apart, whatever paths lead to them, also those of different times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    number: FileNumber,
    /// Some file systems give the number of a deleted file to a new one.
    created: u64,
}

impl FileId {
    pub(crate) fn of(opened: &OpenedFile) -> io::Result<Self> {
        Self::of_file(&opened.file)
    }

    /// The file that a path leads to.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        Self::of_file(&File::open(path)?)
    }

    fn of_file(file: &File) -> io::Result<Self> {
        let information = information(file.as_raw_handle()).ok_or_else(io::Error::last_os_error)?;
        let created = information.ftCreationTime;
        Ok(Self {
            number: FileNumber::from(&information),
            created: u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime),
        })
    }

    /// What has to stay open while the identity is remembered: nothing. Whoever builds the file anew could not open it
    /// for himself alone, rename another over it, or delete it and make it again, while somebody has it open.
    pub(crate) fn keep(_file: &Arc<File>) -> Option<Arc<File>> {
        None
    }
}

/// What the system notes of each change of a file: there is nothing of the kind. The times that it keeps can be set, and
/// are not those of changes through a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileState {}

impl FileState {
    pub(crate) fn of(_metadata: &Metadata) -> Option<Self> {
        None
    }

    pub(crate) fn is_settled(&self, _file: &File) -> bool {
        match *self {}
    }

    pub(crate) fn is_of_same_file(&self, _other: &Self) -> bool {
        match *self {}
    }
}

/// Tells files apart that exist at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FileNumber {
    volume: u32,
    index: u64,
}

impl From<&BY_HANDLE_FILE_INFORMATION> for FileNumber {
    fn from(information: &BY_HANDLE_FILE_INFORMATION) -> Self {
        Self {
            volume: information.dwVolumeSerialNumber,
            index: u64::from(information.nFileIndexHigh) << 32 | u64::from(information.nFileIndexLow),
        }
    }
}

/// The path that leads to a file without links, in the form that may have any length.
///
/// Some drivers of file systems do not tell it, nor does Wine if it is long. Then it is the absolute path, which may have
/// links in it: files are told apart by their identity anyway.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    path.canonicalize().or_else(|error| match path.try_exists() {
        Ok(true) => std::path::absolute(path).map(|path| of_any_length(&path)),
        _ => Err(error),
    })
}

/// An absolute path in the form that may have any length, which the system takes as it is.
fn of_any_length(path: &Path) -> PathBuf {
    let mut components = path.components();
    let start = match components.next() {
        Some(Component::Prefix(prefix)) => match prefix.kind() {
            Prefix::Disk(_) => [OsStr::new(r"\\?\"), prefix.as_os_str()].join(OsStr::new("")),
            Prefix::UNC(server, share) => {
                [OsStr::new(r"\\?\UNC\"), server, OsStr::new(r"\"), share].join(OsStr::new(""))
            }
            _ => return path.to_owned(),
        },
        _ => return path.to_owned(),
    };
    let mut whole = PathBuf::from(start);
    whole.push(components.as_path());
    whole
}

/// Whether anybody has a file open for writing.
///
/// The file must have been opened for reading only.
#[cfg(feature = "reload")]
pub(crate) fn is_open_for_writing(file: &File) -> bool {
    // Opened once more in a way that allows no writers, which the system refuses exactly when there are some.
    // SAFETY: the call takes the handle of an open file, and returns a new one.
    let handle = unsafe {
        ReOpenFile(file.as_raw_handle(), FILE_GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, 0)
    };
    if handle != INVALID_HANDLE_VALUE {
        // SAFETY: the handle was just opened, and nobody else knows it.
        unsafe { CloseHandle(handle) };
        return false;
    }
    io::Error::last_os_error().raw_os_error() == Some(ERROR_SHARING_VIOLATION as i32)
}

/// Whether [`is_used_by_others`] can be told on this platform.
pub(crate) const TELLS_OTHER_USERS: bool = false;

/// Whether anybody else has a file open or mapped: not known.
pub(crate) fn is_used_by_others(_file: &File) -> bool {
    true
}

fn information(handle: HANDLE) -> Option<BY_HANDLE_FILE_INFORMATION> {
    let mut information = MaybeUninit::uninit();
    // SAFETY: the call accepts any handle, and fills in the description if it succeeds.
    (unsafe { GetFileInformationByHandle(handle, information.as_mut_ptr()) } != 0)
        // SAFETY: the call succeeded.
        .then(|| unsafe { information.assume_init() })
}

/// What a handle refers to, as far as it does not change while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DescriptorIdentity {
    kind: DescriptorKind,
    /// For files and directories.
    file: Option<FileNumber>,
}

impl DescriptorIdentity {
    /// `None` if the handle is not open, or is one of a thread, an event or the like.
    pub(crate) fn of(descriptor: i32) -> Option<Self> {
        let handle = handle(descriptor);
        // SAFETY: the call accepts any handle.
        match unsafe { GetFileType(handle) } {
            FILE_TYPE_DISK => {
                let information = information(handle)?;
                let directory = information.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY != 0;
                let kind = if directory { DescriptorKind::Directory } else { DescriptorKind::File };
                Some(Self { kind, file: Some(FileNumber::from(&information)) })
            }
            // Sockets pass for pipes.
            FILE_TYPE_PIPE if is_socket(handle) => Some(Self { kind: DescriptorKind::Socket, file: None }),
            FILE_TYPE_PIPE => Some(Self { kind: DescriptorKind::Pipe, file: None }),
            FILE_TYPE_CHAR if is_socket(handle) => Some(Self { kind: DescriptorKind::Socket, file: None }),
            FILE_TYPE_CHAR => Some(Self { kind: DescriptorKind::Device, file: None }),
            _ if is_socket(handle) => Some(Self { kind: DescriptorKind::Socket, file: None }),
            _ => None,
        }
    }

    pub(crate) fn kind(&self) -> DescriptorKind {
        self.kind
    }
}

/// Handles have 32 significant bits, which are extended by their sign.
fn handle(descriptor: i32) -> HANDLE {
    std::ptr::without_provenance_mut(descriptor as isize as usize)
}

fn is_socket(handle: HANDLE) -> bool {
    let mut kind = 0_i32;
    let mut len = size_of::<i32>() as i32;
    // SAFETY: the call accepts any handle, and stores at most as many bytes as it is told there is room for.
    unsafe { getsockopt(handle.addr() as SOCKET, SOL_SOCKET, SO_TYPE, (&raw mut kind).cast(), &mut len) == 0 }
}

/// The path of the file that a handle refers to; empty if it is none.
pub(crate) fn descriptor_target(descriptor: i32) -> String {
    if DescriptorIdentity::of(descriptor).is_none_or(|identity| identity.file.is_none()) {
        return String::new();
    }
    let mut path = vec![0_u16; 1024];
    loop {
        // SAFETY: the call accepts any handle, and stores at most as many units as there is room for.
        let len = unsafe {
            GetFinalPathNameByHandleW(handle(descriptor), path.as_mut_ptr(), path.len() as u32, 0) as usize
        };
        if len < path.len() {
            return String::from_utf16_lossy(&path[..len]);
        }
        path.resize(len, 0);
    }
}

/// Closes a handle that a module left open.
pub(crate) fn close_descriptor(descriptor: i32) {
    let handle = handle(descriptor);
    // SAFETY: the ledger found that the handle is still the one that the module opened, and the module, its owner, is
    // gone. An error means that it is closed.
    unsafe {
        if is_socket(handle) {
            closesocket(handle.addr() as SOCKET);
        } else {
            CloseHandle(handle);
        }
    }
}

/// What is at an address of this process.
pub(super) fn region(address: usize) -> Option<MEMORY_BASIC_INFORMATION> {
    let mut region = MaybeUninit::<MEMORY_BASIC_INFORMATION>::uninit();
    // SAFETY: the call takes any address, and fills in the description if it returns its size.
    unsafe {
        let size = VirtualQuery(
            std::ptr::without_provenance(address),
            region.as_mut_ptr(),
            size_of::<MEMORY_BASIC_INFORMATION>(),
        );
        (size == size_of::<MEMORY_BASIC_INFORMATION>()).then(|| region.assume_init())
    }
}

/// Length in bytes of the reservation or view that starts at an address; `None` if there is none.
pub(crate) fn extent(address: usize) -> Option<usize> {
    let first = region(address).filter(|first| first.State != MEM_FREE)?;
    let start = first.AllocationBase.addr();
    let mut end = start;
    while let Some(next) = region(end) {
        if next.State == MEM_FREE || next.AllocationBase.addr() != start || next.RegionSize == 0 {
            break;
        }
        end = end.checked_add(next.RegionSize)?;
    }
    (start == address).then_some(end - start)
}

/// Releases a reservation or a view.
///
/// # Safety
/// Nothing may use the range any more.
pub(crate) unsafe fn unmap(address: usize, _len: usize) {
    let start: *mut c_void = std::ptr::without_provenance_mut(address);
    let is_view = region(address).is_some_and(|region| region.Type == MEM_MAPPED);
    // SAFETY: as the caller guarantees. Both release the whole of what was reserved or mapped at once; an error means
    // that nothing starts there.
    unsafe {
        if is_view {
            UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: start });
        } else {
            VirtualFree(start, 0, MEM_RELEASE);
        }
    }
}

/// Size in bytes of a page.
pub(crate) fn page_size() -> usize {
    static PAGE_SIZE: OnceLock<usize> = OnceLock::new();
    *PAGE_SIZE.get_or_init(|| {
        let mut information = MaybeUninit::<SYSTEM_INFO>::zeroed();
        // SAFETY: the call fills in the description, of which zero bytes are a valid one.
        let information = unsafe {
            GetSystemInfo(information.as_mut_ptr());
            information.assume_init()
        };
        information.dwPageSize as usize
    })
}

/// Windows has no handlers for signals in the sense of POSIX.
pub(crate) fn handlers_inside(_image: &Range<usize>, _signals: impl Iterator<Item = i32>) -> Vec<i32> {
    Vec::new()
}

/// The name of a signal.
pub(crate) fn signal_name(signal: i32) -> String {
    signal.to_string()
}

/// Has `function` called when the process ends normally, or when this library is closed.
pub(crate) fn at_process_exit(function: extern "C" fn()) {
    unsafe extern "C" {
        fn atexit(function: extern "C" fn()) -> i32;
    }
    // SAFETY: the function stays callable as long as this image is loaded, and the C runtime calls it at the image's
    // end at the latest. If registering fails, there is no memory, and the next process cleans up.
    unsafe { atexit(function) };
}

/// Whether this is a directory, and no link to one. Who may enter it was decided where it was made: the folder for
/// temporary files is the user's own.
pub(crate) fn is_private_directory(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// Copies what a file holds, and returns its length. The system copies by paths only, so this reads and writes, in pieces
/// that are larger than those of `io::copy` alone.
pub(crate) fn copy_contents(original: &File, mut copy: &File) -> io::Result<u64> {
    const PIECE: usize = 1 << 20;
    io::copy(&mut BufReader::with_capacity(PIECE, original), &mut copy)
}

/// Opens a file for reading; what is no regular file is neither waited for nor followed.
pub(crate) fn open_at_once(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Keeps what is at a path from being replaced, renamed or written, as long as this is open; `None` if somebody has it open
/// for that.
pub(crate) fn hold_in_place(path: &Path) -> Option<File> {
    File::options().read(true).share_mode(FILE_SHARE_READ).open(path).ok()
}

/// Opens a file for reading, and finds the path that leads to it without links; `None` if it is no regular file.
pub(crate) fn open_regular_file(path: &Path) -> io::Result<Option<OpenedFile>> {
    let path = resolve(path)?;
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let file = Arc::new(File::open(&path)?);
    Ok(Some(OpenedFile { path, file, metadata }))
}

/// Makes a directory under `parent`. The folder for temporary files is the user's own, and so is what is made in it.
pub(crate) fn private_directory(prefix: &str, parent: &Path) -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix(prefix).tempdir_in(parent)
}
