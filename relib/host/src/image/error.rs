//! What can be wrong with a library file.

use std::error::Error;
use std::fmt;

/// Why a file cannot be loaded.
///
/// No variant has a [`source`](Error::source): each is a finding about bytes that were read, and the reader that
/// `object` provides keeps no cause for [`ImageError::Unreadable`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum ImageError {
    /// The file has no contents.
    Empty,
    /// The file is not a library of any format that this platform loads.
    UnknownFormat {
        /// What the file is, as far as its first bytes tell.
        found: &'static str,
    },
    /// The file ends before its contents do.
    Truncated {
        /// The part that reaches past the end.
        part: String,
        /// Offset at which that part ends.
        needed: u64,
        /// Length of the file.
        len: u64,
    },
    /// The file is of the right format, but it is no dynamic library.
    NotALibrary {
        /// What it is.
        found: &'static str,
    },
    /// The file was built for another processor.
    OtherMachine {
        /// Name of the processor it was built for.
        found: String,
        /// Name of this processor.
        expected: &'static str,
    },
    /// The file was built for another word size.
    OtherClass {
        /// Its word size.
        found: &'static str,
        /// The word size of this program.
        expected: &'static str,
    },
    /// The file was built for another byte order.
    #[allow(dead_code, reason = "PE files have one byte order")]
    OtherByteOrder {
        /// Its byte order.
        found: &'static str,
        /// The byte order of this program.
        expected: &'static str,
    },
    /// The file contradicts itself or its format.
    Malformed {
        /// The part that is wrong.
        part: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The file uses something that relib does not support, although the format allows it.
    Unsupported {
        /// What it uses.
        what: String,
        /// How to build the file without it.
        advice: &'static str,
    },
    /// Reading failed, although the file is long enough.
    Unreadable {
        /// The part that could not be read.
        part: &'static str,
        /// Where it starts.
        offset: u64,
        /// How many bytes it has.
        size: u64,
    },
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => {
                write!(f, "the file is empty: it is probably about to be written; load it again later")
            }
            Self::UnknownFormat { found } => write!(f, "the file is not a dynamic library but {found}"),
            Self::Truncated { part, needed, len } => write!(
                f,
                "the file ends at byte {len}, before the end of {part} at byte {needed}: it is probably still being \
                 written; load it again when the linker has finished"
            ),
            Self::NotALibrary { found } => write!(
                f,
                "the file is {found}, not a dynamic library: set crate-type = [\"cdylib\"] and load the .so file"
            ),
            Self::OtherMachine { found, expected } => write!(
                f,
                "the file is for {found} but this program runs on {expected}: build it for this program's target"
            ),
            Self::OtherClass { found, expected } => write!(
                f,
                "the file is a {found} library but this program is {expected}: build it for this program's target"
            ),
            Self::OtherByteOrder { found, expected } => write!(
                f,
                "the file is {found} but this program is {expected}: build it for this program's target"
            ),
            Self::Malformed { part, detail } => {
                write!(f, "the file is damaged: {part}: {detail}; build it again")
            }
            Self::Unsupported { what, advice } => write!(f, "the file uses {what}: {advice}"),
            Self::Unreadable { part, offset, size } => write!(
                f,
                "cannot read {part} ({size} bytes at {offset}): the file may have been cut while it was read; \
                 load it again"
            ),
        }
    }
}

impl Error for ImageError {}

/// Result of a check.
pub(super) type Result<T, E = ImageError> = std::result::Result<T, E>;

/// Returns [`ImageError::Malformed`] from the enclosing function unless a condition holds.
macro_rules! check {
    ($condition:expr, $part:expr, $($detail:tt)+) => {
        if !$condition {
            return Err($crate::image::error::malformed($part, format!($($detail)+)));
        }
    };
}
pub(super) use check;

/// The error for a part that contradicts itself or the format.
#[cold]
pub(super) fn malformed(part: &'static str, detail: impl Into<String>) -> ImageError {
    ImageError::Malformed { part, detail: detail.into() }
}

/// Refuses a module that is linked with the dynamic `std`: it would share that with the host, or with other modules, and so
/// its allocator, its thread-locals and its panics, none of which an unload could take back.
pub(super) fn check_std<'a>(libraries: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
    let is_std =
        |name: &&str| name.starts_with("libstd-") || name.starts_with("std-") && name.ends_with(".dll");
    let Some(std) = libraries.clone().find(is_std) else { return Ok(()) };
    // Rust's own have no version in their names, as those of the system have on Linux; on Windows they all look alike.
    let others: Vec<&str> = libraries.filter(|name| !is_std(name) && name.ends_with(".so")).collect();
    let by = match others.as_slice() {
        [] => String::new(),
        names => format!(", which may be by its dependency {}", names.join(" or ")),
    };
    Err(ImageError::Unsupported {
        what: format!("std as a library of its own ({std}){by}"),
        advice: "build the module without -C prefer-dynamic, and its dependencies as rlibs instead of crate-type = \"dylib\"",
    })
}
