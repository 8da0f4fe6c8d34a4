//! Interfaces of the fixtures for "Final unload check".

use relib_interface::interface;

/// Keeps memory for later.
#[interface]
pub trait Keeper {
    /// Fills this many blocks of the module's heap, which stay.
    fn keep(blocks: usize);
    /// Adds up what is in them.
    fn sum_kept() -> u64;
}

/// Puts things in the way of an unload, and takes them away again.
#[interface]
pub trait Obstacles {
    /// Starts a thread that fills `blocks` blocks of the module's heap and then waits.
    fn start_thread(blocks: usize);
    /// Lets the thread go on: it adds up what is in its blocks and ends.
    fn release_thread();
    /// What the thread has added up; nothing before it has.
    fn thread_result() -> Option<u64>;
    /// Opens the module itself, by `dlopen`.
    fn open_itself();
    /// Closes the handle of `open_itself`.
    fn close_itself();
}

/// Has a constructor that makes a thread-local object with a destructor.
#[interface]
pub trait Early {
    /// The process's first argument, as the module's `std` knows it.
    fn first_argument() -> Option<String>;
}

/// What modules tell the host about what happens to them.
#[interface(imports)]
pub trait Events {
    /// Something has happened.
    fn happened(event: &str);
}

/// Has something for each stage of an unload.
#[interface]
pub trait Stages {
    /// Starts a thread that ends when `before_unload` asks it to, and makes a thread-local object; the end of both is
    /// an event, and so is the function that is registered to run when the image goes.
    fn prepare();
}
