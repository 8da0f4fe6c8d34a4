//! Interfaces of the fixtures for "Backtraces".

use relib_interface::interface;

/// Takes backtraces.
#[interface]
pub trait Backtraces {
    /// A backtrace of the calling thread, taken two functions further in.
    fn backtrace() -> String;
    /// Panics two functions further in.
    fn panic();
    /// Calls the host back from two functions further in.
    fn call_host();
}

/// What the host does while functions of the module are on the stack.
#[interface(imports)]
pub trait Host {
    /// Something that takes a backtrace.
    fn called();
}
