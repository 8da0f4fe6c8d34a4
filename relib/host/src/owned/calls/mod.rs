//! The functions of the host that a module calls on its own behalf: what its shims tell of, and the scopes of states.
//!
//! They run on any thread, in the middle of what the module does. Which ones there are depends on the platform, which is
//! picked here.

mod caller;
mod scopes;

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod platform;

#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

pub(super) use platform::table as system_table;
pub(super) use scopes::table as scope_table;
