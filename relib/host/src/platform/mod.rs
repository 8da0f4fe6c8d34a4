//! The platform, behind one interface: everything that asks the operating system or its dynamic loader for something.
//!
//! Each platform has a folder with the same items; the platform is picked here, and for what modules call in `owned`, and
//! nowhere else. Nothing in a platform's folder decides what relib does: it only knows how. It knows what a verified file
//! holds (`image`), and must not know modules, nor what is kept for one.

use std::fmt;
use std::fs::{File, Metadata};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicPtr;

/// A regular file that is open for reading.
#[derive(Clone, Debug)]
pub(crate) struct OpenedFile {
    /// The path that leads to it without links.
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    /// As it was when it was opened.
    pub(crate) metadata: Metadata,
}

/// Why an image was not mapped.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Somebody has loaded it already: one of the same file, or, where the loader goes by names, one of the same name, even
    /// if there is another file at that path by now.
    Loaded,
    /// The loader has something against it.
    Linking(libloading::Error),
}

/// The image was closed and is still there. The library has been opened again if that was possible, and can be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stayed;

/// What a descriptor refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DescriptorKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A socket.
    Socket,
    /// An end of a pipe, or a named pipe.
    Pipe,
    /// A character or block device.
    Device,
    /// Something of the kernel's without a file type: epoll, eventfd, timer, signal, inotify.
    Anonymous,
}

impl fmt::Display for DescriptorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Socket => "socket",
            Self::Pipe => "pipe",
            Self::Device => "device",
            Self::Anonymous => "anonymous descriptor",
        })
    }
}

/// An import of a mapped image that is to lead to a shim.
pub(crate) struct Redirect<'a> {
    /// Virtual address of the pointer to the imported function.
    pub(crate) slot: u64,
    pub(crate) shim: *const (),
    /// Where the shim finds the address that the import had.
    pub(crate) original: &'a AtomicPtr<()>,
}

#[cfg(target_os = "linux")]
#[path = "linux/mod.rs"]
mod imp;

#[cfg(windows)]
#[path = "windows/mod.rs"]
mod imp;

pub(crate) use imp::*;

#[cfg(not(any(target_os = "linux", windows)))]
compile_error!("relib supports Linux and Windows for now");
