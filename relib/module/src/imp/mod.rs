//! The shims that take the place of the module's imports, for each platform.
//!
//! Each platform file has one constant, `REDIRECTS`: names of imports and the shims for them. A shim has the signature
//! of the function that it replaces; it finds the module's context by itself and forwards to the host. A process-wide
//! function cannot do that, because it would not know which module called it.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub(crate) use linux::REDIRECTS;

#[cfg(not(target_os = "linux"))]
compile_error!("relib_module supports Linux for now");
