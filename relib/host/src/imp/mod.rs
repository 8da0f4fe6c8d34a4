//! The platform, behind one interface: everything that asks the operating system or its dynamic loader for something.
//!
//! Each platform has a folder with the same items; the platform is picked here and nowhere else. Nothing in a
//! platform's folder decides what relib does: it only knows how.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub(crate) use linux::*;

#[cfg(not(target_os = "linux"))]
compile_error!("relib supports Linux for now");
