//! What host and module call of each other. Both are built again when this changes.

use relib_interface::interface;

/// What the module implements and the host calls.
#[interface]
pub trait Exports {
    /// Starts the module's tasks.
    fn start();
    /// Takes what the tasks have made since the last call.
    fn take() -> Vec<String>;
}
