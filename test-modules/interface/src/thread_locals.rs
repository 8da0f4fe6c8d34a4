//! Interfaces of the fixtures for "Thread-locals".

use relib_interface::interface;

/// Thread-local objects whose destructors tell the host.
#[interface]
pub trait ThreadLocals {
    /// Makes an object on the calling thread; its destructor reports `name`.
    fn touch(name: &str);
    /// Makes an object whose destructor allocates and frees before it reports.
    fn touch_allocating(name: &str);
    /// Makes an object whose destructor makes the object of [`touch`](Self::touch) before it reports.
    fn touch_nested(name: &str);
    /// Makes an object whose destructor announces itself, sleeps and allocates before it reports.
    fn touch_slow(name: &str, millis: u64);
    /// Gives the calling thread a value under a POSIX key; the key's destructor reports `name`.
    fn set_key(name: &str);
    /// Takes the value of the key back without a report.
    fn clear_key();
    /// Counts in an object without destructor: the number of calls on this thread.
    fn count() -> u32;
    /// Does what `touch_slow` and `set_key` do on a detached thread of the module.
    fn touch_on_detached_thread(name: &str, millis: u64);
    /// Runs scoped threads that do what `touch_slow` does; a scope does not wait for destructors.
    fn touch_slow_in_scope(threads: usize, millis: u64);
    /// Calls the host back while this function runs.
    fn call_back();
}

/// A thread-local that the loader makes a place for on all threads.
#[interface]
pub trait StaticThreadLocal {
    /// The number of calls on this thread.
    fn count() -> u32;
}

/// What the objects report to.
#[interface(imports)]
pub trait Drops {
    /// The destructor of an object of [`ThreadLocals::touch_slow`] has begun.
    fn dropping(name: &str);
    /// A destructor ran.
    fn dropped(name: &str);
    /// The module has called back.
    fn called_back();
}
