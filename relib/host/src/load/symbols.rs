//! The symboliser of the host's own `std`, which must not take hold of a module's file.
//!
//! `std` looks up which images the process has once, for the first backtrace that it renders, and keeps the files of
//! some of them mapped from then on. If that happened while a module is loaded, the module's file would stay mapped
//! after the unload, and its names would be shown for whatever is loaded at the same addresses later.

use std::backtrace::Backtrace;
use std::sync::Once;

use crate::platform;

/// Has the host's `std` look up the images of the process now, when no module that can be unloaded is there yet.
///
/// Costs some milliseconds, once in a process. From then on the host's own backtraces show the frames of modules as
/// unknown. Those that a module takes, such as the ones of its panics, have all names: the module's own `std` renders
/// them, and what it maps goes with the module.
pub(crate) fn settle() {
    static SETTLED: Once = Once::new();
    // Reading debug information takes long, so the backtrace gets as few frames as there can be.
    SETTLED.call_once(|| platform::call_at_stack_bottom(render_backtrace));
}

/// Rendering is what looks the images up; capturing alone does not.
extern "C" fn render_backtrace() {
    drop(Backtrace::force_capture().to_string());
}
