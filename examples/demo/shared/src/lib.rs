//! What the host and the module of the demo call of each other.

use relib_interface::{Transfer, interface};

/// State that the host keeps while modules come and go.
#[derive(Debug, Default, Transfer)]
pub struct GuestBook {
    /// Everybody who was greeted, in order.
    pub guests: Vec<String>,
}

/// What the module offers.
#[interface]
pub trait Exports {
    /// Greets a guest and writes the name into the book.
    fn greet(book: &mut GuestBook, name: &str) -> String;

    /// Allocates memory, fills it, and forgets it.
    fn leak(mebibytes: usize);

    /// Panics for an index that is out of range.
    fn letter(word: &str, index: usize) -> char;

    /// Starts a thread that runs until it is told to stop.
    fn start_worker();

    /// Stops the thread.
    fn stop_worker();
}

/// What the host offers.
#[interface(imports)]
pub trait Imports {
    /// Shows a line.
    fn say(line: &str);
}
