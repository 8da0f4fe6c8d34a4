//! What the host calls of the module.

use relib_interface::interface;

#[interface]
pub trait Exports {
    fn greet(name: &str) -> String;
}
