//! What scenario bodies ask the operating system for, behind one interface; one file per platform, picked here and
//! nowhere else in this crate.

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod imp;

#[cfg(windows)]
#[path = "windows.rs"]
mod imp;

use std::ops::Range;

use object::{Object, ObjectSection};
use relib_harness::{Failure, OrFail};

pub use imp::*;

/// A library of which a part has not been written yet.
pub struct Unfinished {
    /// What is missing.
    pub kind: &'static str,
    /// What the file holds.
    pub bytes: Vec<u8>,
    /// Whether it may be loaded if only that is missing which nobody needs.
    pub may_load: bool,
}

/// Where a section is in the bytes of a library.
///
/// # Errors
/// When there is none of this name.
pub fn section(bytes: &[u8], name: &str) -> Result<Range<usize>, Failure> {
    let file = object::File::parse(bytes)?;
    let range = file.section_by_name(name).and_then(|section| section.file_range());
    let (start, len) = range.or_fail("a section is missing")?;
    Ok(start as usize..(start + len) as usize)
}
