//! What scenario bodies ask the operating system for, behind one interface; one file per platform, picked here and
//! nowhere else in this crate.

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod imp;

#[cfg(windows)]
#[path = "windows.rs"]
mod imp;

pub use imp::*;
