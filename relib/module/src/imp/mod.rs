//! The shims that take the place of the module's imports, for each platform.
//!
//! Each platform file has one constant, `REDIRECTS`: names of imports and the shims for them. A shim has the signature
//! of the function that it replaces; it finds the module's context by itself and forwards to the host. A process-wide
//! function cannot do that, because it would not know which module called it.

mod shim;

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod platform;

#[cfg(windows)]
#[path = "windows/mod.rs"]
mod platform;

pub(crate) use platform::REDIRECTS;

#[cfg(not(any(target_os = "linux", windows)))]
compile_error!("relib_module supports Linux and Windows for now");
