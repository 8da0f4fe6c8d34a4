//! What host and module call of each other. Both are built again when this changes.

use relib_interface::interface;

/// What the module implements and the host calls.
#[interface]
pub trait Exports {
    fn greet(tick: u64) -> String;
}

/// What the host implements and the module calls.
#[interface(imports)]
pub trait Imports {
    fn log(line: &str);
}
