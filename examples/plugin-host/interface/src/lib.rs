//! What a host of plugins and its plugins call of each other.

use relib_interface::interface;

/// A plugin that changes texts.
#[interface]
pub trait TextFilter {
    /// One line for people.
    fn describe() -> String;

    /// Changes a text.
    fn apply(text: &str) -> String;
}

/// A plugin that people call by its name.
#[interface]
pub trait Command {
    /// One line for people.
    fn describe() -> String;

    /// Runs with these arguments; an error is for people to read.
    fn run(arguments: &[String]) -> Result<String, String>;
}

/// What the host offers to all of them.
#[interface(imports)]
pub trait Application {
    /// Shows a line.
    fn log(line: &str);
}
