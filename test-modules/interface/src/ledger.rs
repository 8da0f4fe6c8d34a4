//! Interfaces of the fixtures for "Leaked resources".

use relib_interface::interface;

/// Opens descriptors.
#[interface]
pub trait Descriptors {
    /// Opens a file, a socket, both ends of a pipe and what else the system has, keeps them in statics and returns their
    /// numbers.
    fn leak(file: &str) -> Vec<i32>;
    /// Opens the same and closes it again.
    fn open_and_close(file: &str);
    /// Closes what `leak` has opened.
    fn close();
    /// Opens a file and gives up its descriptor, which is the caller's from then on.
    fn hand_over(file: &str) -> i32;
    /// Has a descriptor of the host's refer to a file for a while, and then again to what it referred to before.
    fn redirect_and_restore(number: i32, file: &str);
}

/// Maps memory.
#[interface]
pub trait Mappings {
    /// Maps pages and returns the address of the first.
    fn map(pages: usize) -> usize;
    /// Gives back pages, which may be a part of what was mapped.
    fn unmap(address: usize, pages: usize);
    /// Resizes a mapping, which may move, and returns its address.
    fn resize(address: usize, pages: usize, new_pages: usize) -> usize;
    /// Writes to each page.
    fn touch(address: usize, pages: usize);
}

/// Maps memory as a whole.
#[interface]
pub trait Reservations {
    /// Maps as many bytes, writes to all of them and returns the address of the first.
    fn map(bytes: usize) -> usize;
    /// Gives back what was mapped.
    fn unmap(address: usize, bytes: usize);
}

/// Makes thread-specific keys.
#[interface]
pub trait Keys {
    /// Makes keys, half of them with a destructor, and sets each for the calling thread.
    fn leak(keys: usize);
    /// Makes keys and deletes them.
    fn make_and_delete(keys: usize);
    /// How often the destructor has run.
    fn destroyed() -> usize;
}

/// Handles signals.
#[interface]
pub trait Signals {
    /// Installs handlers for `SIGUSR1`, by `sigaction`, and for `SIGUSR2`, by `signal`.
    fn install();
    /// How often the handlers have run.
    fn handled() -> usize;
    /// Gives both signals the system's default action.
    fn restore();
}

/// Registers functions to be called at the end.
#[interface]
pub trait AtExit {
    /// Registers two functions by `atexit`; each is an event.
    fn register();
}

/// Opens other libraries.
#[interface]
pub trait Libraries {
    /// Opens a library, calls its `fixture_answer` and returns what that returned, and the handle.
    fn open(path: &str) -> (u64, usize);
    /// Closes a handle.
    fn close(handle: usize);
}
