//! Which threads a module runs on, and which destructors of thread-local objects it has registered on them.
//!
//! Two kinds of threads matter: those that the module's own code started, and those of the host that called the module
//! and so got thread-local objects of its. For both, destructors are kept here instead of in the C library, which would
//! run them only at the end of the thread, when the module may be gone. They run
//! - on a thread of the module: after its function has returned and before it counts as ended;
//! - on a thread of the host: at its end, at an unload that it carries out, or when it releases the module.
//!
//! While a destructor runs, the thread is in the way of an unload even if nothing else is registered on it: the
//! module's code is on its stack.
//!
//! A thread is told apart by a number of its own, because the operating system uses its numbers again.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};

use relib_abi::call::Destructor;

use super::heap;
use crate::lock::lock;
use crate::platform;

/// A thread as the operating system and its debugger show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadInfo {
    /// The operating system's number of the thread; zero if it has not started to run yet.
    pub id: u32,
    /// The thread's name; empty if it has none.
    pub name: String,
}

impl fmt::Display for ThreadInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name.as_str(), self.id) {
            (_, 0) => write!(f, "a thread that is about to start"),
            ("", id) => write!(f, "thread {id}"),
            (name, id) => write!(f, "thread `{name}` ({id})"),
        }
    }
}

/// Tells the threads of this process apart, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ThreadKey(u64);

impl ThreadKey {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Who started a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Host,
    Module,
}

/// A destructor with its object.
struct Pending {
    destructor: Destructor,
    object: *mut std::ffi::c_void,
}

// SAFETY: the object is only handed to its destructor, on the thread that registered it.
unsafe impl Send for Pending {}

/// What is known of one thread.
struct Thread {
    os_id: u32,
    owner: Owner,
    /// Whether its destructors are being run, which the thread itself does.
    finishing: bool,
    destructors: Vec<Pending>,
    /// Keys with a destructor that this thread has set to something.
    keys: Vec<u32>,
}

impl Thread {
    fn new(os_id: u32, owner: Owner) -> Self {
        Self { os_id, owner, finishing: false, destructors: Vec::new(), keys: Vec::new() }
    }

    /// Whether code of the module runs on the thread, as far as this is known: on a thread of the host it does while
    /// it is called, which excludes an unload anyway, and while destructors run.
    fn runs_module(&self) -> bool {
        self.owner == Owner::Module || self.finishing
    }

    fn has_destructors(&self) -> bool {
        !self.destructors.is_empty() || !self.keys.is_empty()
    }
}

/// What an unload has to wait for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InUse {
    /// Code of the module runs on these threads.
    Running(Vec<ThreadInfo>),
    /// Destructors are registered on these threads of the host.
    Registered(Vec<ThreadInfo>),
}

#[derive(Default)]
struct Table {
    threads: HashMap<ThreadKey, Thread>,
    /// The module's keys with their destructors.
    keys: HashMap<u32, Option<Destructor>>,
    /// Set while the image is being closed: from then on no thread may be started on the module's behalf.
    closing: bool,
}

/// The threads of one module. A thread that has anything of a module's keeps them, and not the rest of what the host keeps
/// for the module.
#[derive(Default)]
pub(crate) struct Threads {
    table: Mutex<Table>,
    /// Signalled whenever a thread begins to run its destructors, ends, or is rid of what was registered on it.
    changed: Condvar,
}

/// Whether the end of the calling thread is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    NotYet,
    Watched,
    /// The thread is ending; what is registered now is still run.
    Ending,
    /// It is too late to register anything.
    Over,
}

/// What a thread knows of itself. It has no destructor, so that it can be used to the very end of the thread.
struct Current {
    watch: Cell<Watch>,
    key: Cell<Option<ThreadKey>>,
    /// Modules that have something registered on this thread.
    modules: RefCell<ManuallyDrop<Vec<Weak<Threads>>>>,
    /// The thread itself, if a module started it, while its function runs.
    started: Cell<ManuallyDrop<Option<NewThread>>>,
}

thread_local! {
    // One object for all: on Windows each can take one of about a thousand slots of the process.
    static CURRENT: Current = const {
        Current {
            watch: Cell::new(Watch::NotYet),
            key: Cell::new(None),
            modules: RefCell::new(ManuallyDrop::new(Vec::new())),
            started: Cell::new(ManuallyDrop::new(None)),
        }
    };

    /// Its destructor runs at the end of every thread that is watched, however the thread ends.
    static END: End = const { End };
}

struct End;

impl Drop for End {
    fn drop(&mut self) {
        CURRENT.with(|current| {
            current.watch.set(Watch::Ending);
            // A destructor may call into another module, or into one that was finished already, and register more.
            loop {
                let next = current.modules.borrow_mut().pop();
                match next {
                    Some(threads) => _ = threads.upgrade().map(|threads| threads.run_own_destructors()),
                    None => break,
                }
            }
            heap::leave();
            current.watch.set(Watch::Over);
            let modules = current.modules.replace(ManuallyDrop::new(Vec::new()));
            drop(ManuallyDrop::into_inner(modules));
            drop(take_started());
        });
    }
}

/// The calling thread, if a module started it and its function has not returned.
fn take_started() -> Option<NewThread> {
    CURRENT.with(|current| ManuallyDrop::into_inner(current.started.replace(ManuallyDrop::new(None))))
}

/// Has the end of the calling thread watched; returns whether it is not too late for that.
pub(crate) fn watch_end() -> bool {
    CURRENT.with(|current| match current.watch.get() {
        Watch::Watched | Watch::Ending => true,
        Watch::Over => false,
        Watch::NotYet => {
            let watched = END.try_with(|_| ()).is_ok();
            current.watch.set(if watched { Watch::Watched } else { Watch::Over });
            watched
        }
    })
}

/// The calling thread.
fn current_key() -> ThreadKey {
    CURRENT.with(|current| {
        current.key.get().unwrap_or_else(|| {
            let key = ThreadKey::next();
            current.key.set(Some(key));
            key
        })
    })
}

/// Has `threads` told when the calling thread ends; returns whether it is not too late for that.
fn tie_to(threads: &Arc<Threads>) -> bool {
    let tied = watch_end();
    if tied {
        CURRENT.with(|current| {
            let mut modules = current.modules.borrow_mut();
            let new = Arc::downgrade(threads);
            if !modules.iter().any(|known| known.ptr_eq(&new)) {
                // Modules that are gone make room, so that a thread that outlives thousands of them does not collect
                // them.
                modules.retain(|known| known.strong_count() > 0);
                modules.push(new);
            }
        });
    }
    tied
}

/// A thread that a module is about to start: counted from now on, so that no unload can overtake it.
///
/// Dropping the value before the thread runs takes it off the count again.
pub(crate) struct NewThread {
    threads: Arc<Threads>,
    key: ThreadKey,
    started: bool,
}

impl NewThread {
    /// Counts a thread; `None` if the module is being unloaded.
    pub(crate) fn announce(threads: &Arc<Threads>) -> Option<Self> {
        let mut table = lock(&threads.table);
        if table.closing {
            return None;
        }
        let key = ThreadKey::next();
        table.threads.insert(key, Thread::new(0, Owner::Module));
        Some(Self { threads: Arc::clone(threads), key, started: false })
    }

    /// Runs the thread: to be called on it, with what its function does. Afterwards the thread has ended for the
    /// module, whose code it does not enter any more.
    pub(crate) fn run<R>(mut self, function: impl FnOnce() -> R) -> R {
        self.started = true;
        CURRENT.with(|current| current.key.set(Some(self.key)));
        tie_to(&self.threads);
        if let Some(thread) = lock(&self.threads.table).threads.get_mut(&self.key) {
            thread.os_id = platform::current_thread_id();
        }
        // Not on the stack, which not every end of a thread unwinds.
        CURRENT.with(|current| current.started.set(ManuallyDrop::new(Some(self))));
        let result = function();
        // A thread that leaves `function` by `pthread_exit`, cancellation or `ExitThread` gets here never; it is finished
        // by the destructor of `END`.
        if let Some(thread) = take_started() {
            thread.threads.run_destructors(thread.key);
            // Here already, so that an unload which sees the thread ended finds no trace of it in the heap.
            heap::leave();
            thread.threads.remove(thread.key);
        }
        result
    }
}

impl Drop for NewThread {
    fn drop(&mut self) {
        if !self.started {
            self.threads.remove(self.key);
        }
    }
}

impl Table {
    /// The threads that are in the way of an unload by `current`.
    fn in_use(&self, current: ThreadKey) -> InUse {
        let running = infos(self.threads.iter().filter(|(_, thread)| thread.runs_module()));
        if !running.is_empty() {
            return InUse::Running(running);
        }
        let others = self.threads.iter().filter(|(key, _)| **key != current);
        InUse::Registered(infos(others.filter(|(_, thread)| thread.has_destructors())))
    }
}

impl Threads {
    /// Registers a destructor of the calling thread.
    ///
    /// A thread so near its end that nothing can be registered loses the destructor: its object is never dropped, and its
    /// memory is reclaimed with the module's.
    #[allow(
        dead_code,
        reason = "on Windows thread-local objects are found by the keys that they are kept under"
    )]
    pub(crate) fn register_destructor(
        self: &Arc<Self>,
        destructor: Destructor,
        object: *mut std::ffi::c_void,
    ) {
        self.on_current_thread(|thread| thread.destructors.push(Pending { destructor, object }));
    }

    /// Notes that the calling thread has set a key of the module to something, or to nothing.
    pub(crate) fn note_key_value(self: &Arc<Self>, key: u32, is_set: bool) {
        let has_destructor = matches!(lock(&self.table).keys.get(&key), Some(Some(_)));
        if !has_destructor {
            return;
        }
        if is_set {
            self.on_current_thread(|thread| {
                if !thread.keys.contains(&key) {
                    thread.keys.push(key);
                }
            });
        } else if let Some(thread) = lock(&self.table).threads.get_mut(&current_key()) {
            thread.keys.retain(|held| *held != key);
            self.changed.notify_all();
        }
    }

    fn on_current_thread(self: &Arc<Self>, body: impl FnOnce(&mut Thread)) {
        if tie_to(self) {
            let mut table = lock(&self.table);
            let thread = table
                .threads
                .entry(current_key())
                .or_insert_with(|| Thread::new(platform::current_thread_id(), Owner::Host));
            body(thread);
        }
    }

    /// Has no thread started on the module's behalf from now on, or again.
    pub(crate) fn set_closing(&self, closing: bool) {
        lock(&self.table).closing = closing;
    }

    /// Adds a key of the module.
    pub(crate) fn add_key(&self, key: u32, destructor: Option<Destructor>) {
        lock(&self.table).keys.insert(key, destructor);
    }

    /// Removes a key of the module, and what threads hold under it. As POSIX has it, no destructor runs.
    pub(crate) fn remove_key(&self, key: u32) {
        let mut table = lock(&self.table);
        table.keys.remove(&key);
        for thread in table.threads.values_mut() {
            thread.keys.retain(|held| *held != key);
        }
    }

    /// Takes all keys of the module.
    pub(crate) fn take_keys(&self) -> Vec<u32> {
        lock(&self.table).keys.drain().map(|(key, _)| key).collect()
    }

    /// Waits until `deadline` for the threads that are in the way of an unload by the calling one.
    ///
    /// Those that have got as far as running their destructors get `ENDING_GRACE` for them, even after the deadline.
    pub(crate) fn wait_until_unused(&self, deadline: Instant) -> Result<(), InUse> {
        let current = current_key();
        let mut table = lock(&self.table);
        loop {
            let in_the_way = |key: &ThreadKey, thread: &Thread| {
                thread.runs_module() || (*key != current && thread.has_destructors())
            };
            let mut threads = table.threads.iter().filter(|(key, thread)| in_the_way(key, thread)).peekable();
            if threads.peek().is_none() {
                return Ok(());
            }
            let (mut all_finishing, mut current_too) = (true, false);
            for (key, thread) in threads {
                all_finishing &= thread.finishing;
                current_too |= *key == current;
            }
            let until = if all_finishing { deadline + ENDING_GRACE } else { deadline };
            let left = until.saturating_duration_since(Instant::now());
            // The calling thread would wait for itself.
            if left.is_zero() || current_too {
                return Err(table.in_use(current));
            }
            table =
                self.changed.wait_timeout(table, left).unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// Whether code of the module runs on the calling thread, as far as the table knows.
    pub(crate) fn runs_on_current(&self) -> bool {
        lock(&self.table).threads.get(&current_key()).is_some_and(Thread::runs_module)
    }

    /// Runs the destructors that are registered on the calling thread, and those that they register; then the thread is
    /// unknown. No code of the module may be running on it.
    pub(crate) fn run_own_destructors(&self) {
        let key = current_key();
        if lock(&self.table).threads.contains_key(&key) {
            self.run_destructors(key);
            self.remove(key);
        }
    }

    /// Forgets everything that is registered on any thread: what is left cannot be run any more.
    pub(crate) fn clear(&self) {
        lock(&self.table).threads.clear();
    }

    fn remove(&self, key: ThreadKey) {
        lock(&self.table).threads.remove(&key);
        self.changed.notify_all();
    }

    /// Runs the destructors of the thread `key`, which is the calling one, until none is left.
    ///
    /// As in the C library, those of thread-local objects come first, in the reverse order of their registration, and
    /// then those of keys, each at most [`KEY_ROUNDS`] times.
    fn run_destructors(&self, key: ThreadKey) {
        if let Some(thread) = lock(&self.table).threads.get_mut(&key) {
            thread.finishing = true;
        }
        self.changed.notify_all();
        let mut rounds = 0;
        loop {
            // No lock is held while a destructor runs: it may register more.
            let next = lock(&self.table).threads.get_mut(&key).and_then(|thread| thread.destructors.pop());
            if let Some(Pending { destructor, object }) = next {
                // SAFETY: the module registered the pair on this thread, and its image is loaded: the thread is in the
                // way of an unload until it is removed from the table.
                unsafe { destructor(object) };
                continue;
            }
            let (held, destructors) = {
                let mut table = lock(&self.table);
                let held = table.threads.get_mut(&key).map(|thread| std::mem::take(&mut thread.keys));
                let held = held.unwrap_or_default();
                let destructors: Vec<_> =
                    held.iter().filter_map(|key| Some((*key, (*table.keys.get(key)?)?))).collect();
                (!held.is_empty(), destructors)
            };
            rounds += 1;
            if !held || rounds > KEY_ROUNDS {
                return;
            }
            for (key, destructor) in destructors {
                if let Some(value) = platform::take_key_value(key) {
                    // SAFETY: the module set the value under a key with this destructor on this thread; its image is
                    // loaded, as above.
                    unsafe { destructor(value.as_ptr()) };
                }
            }
        }
    }
}

/// `PTHREAD_DESTRUCTOR_ITERATIONS` of glibc.
const KEY_ROUNDS: usize = 4;

/// How long an unload waits for the destructors of a thread that has begun to run them.
const ENDING_GRACE: Duration = Duration::from_secs(1);

/// What a host is told of threads, in the order in which relib came to know them: a system may number them in any.
fn infos<'a>(threads: impl Iterator<Item = (&'a ThreadKey, &'a Thread)>) -> Vec<ThreadInfo> {
    let mut threads: Vec<_> = threads.collect();
    threads.sort_by_key(|(key, _)| **key);
    threads
        .into_iter()
        .map(|(_, thread)| ThreadInfo { id: thread.os_id, name: platform::thread_name(thread.os_id) })
        .collect()
}
