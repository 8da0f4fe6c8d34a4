//! Interfaces of the fixtures for "Background threads check".

use relib_interface::interface;

/// Threads that are started and stopped.
#[interface]
pub trait Threads {
    /// Starts a thread of this name that runs until it is told to stop.
    fn start(name: &str);
    /// Tells all threads to stop.
    fn stop();
    /// Joins the threads that `start` has started.
    fn join();
    /// Starts a detached thread that ends after this time.
    fn start_for(millis: u64);
    /// Starts threads, joins them, and returns the sum of their numbers.
    fn sum_joined(threads: u64) -> u64;
    /// As `sum_joined`, with scoped threads.
    fn sum_scoped(threads: u64) -> u64;
    /// Starts detached threads that make a thread-local object with a destructor, and waits until each has made its.
    fn detach(threads: usize);
    /// Makes such an object on the calling thread, and some blocks that are not freed.
    fn work();
}

/// Threads of C code.
#[interface]
pub trait CThreads {
    /// Starts a joinable thread that runs until it is told to stop.
    fn start();
    /// Tells the thread to stop, and joins it.
    fn stop_and_join();
    /// Starts a detached thread that ends by `pthread_exit` or `_endthreadex`, with the value of a POSIX key or of a
    /// fiber-local slot that has a destructor.
    fn start_exiting();
    /// Starts a thread by `thrd_create`, or by `CreateThread`, that runs until it is told to stop.
    fn start_other();
    /// Tells the thread to stop, and returns what it returned.
    fn stop_and_join_other() -> i32;
    /// How many key destructors have run.
    fn destroyed() -> u32;
}

/// Threads that only Windows has.
#[interface]
pub trait SystemThreads {
    /// Makes a thread that does not run yet.
    fn start_suspended();
    /// Lets this thread run, and end.
    fn resume();
    /// Starts a thread that holds the module, and lets go of it when it ends itself, by `FreeLibraryAndExitThread`.
    fn start_freeing();
    /// How many thread-local objects have been dropped; each of the threads makes one.
    fn dropped() -> usize;
}

/// A pool of worker threads.
#[interface]
pub trait Pool {
    /// Adds the numbers below `end` on the threads of a global pool.
    fn sum_global(end: u64) -> u64;
    /// As `sum_global`, on a pool that is dropped at once.
    fn sum_local(end: u64) -> u64;
}

/// An asynchronous runtime with worker threads in a static.
#[interface]
pub trait Runtime {
    /// Starts the runtime if there is none, and adds the numbers below `end` in tasks.
    fn sum(end: u64) -> u64;
    /// Whether `before_unload` shuts the runtime down.
    fn shut_down_before_unload(shut_down: bool);
}
