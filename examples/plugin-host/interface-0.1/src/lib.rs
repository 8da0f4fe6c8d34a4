//! The interface as it was before `apply` borrowed its text.

use relib_interface::interface;

/// A plugin that changes texts.
#[interface]
pub trait TextFilter {
    /// One line for people.
    fn describe() -> String;

    /// Changes a text.
    fn apply(text: String) -> String;
}
