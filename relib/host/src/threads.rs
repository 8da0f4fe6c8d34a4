//! Which threads a module runs on, and which destructors of thread-local objects it has registered on them.
//!
//! Two kinds of threads matter: those that the module's own code started, and those of the host that called the module
//! and so got thread-local objects of its. For both, destructors are kept here instead of in the C library, which would
//! run them only at the end of the thread, when the module may be gone. They run
//! - on a thread of the module: after its function has returned and before it counts as ended;
//! - on a thread of the host: at its end, at an unload that it carries out, or when it releases the module.
//!
//! A thread is told apart by a number of its own, because the operating system uses its numbers again.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::{Duration, Instant};

use relib_abi::entry::Destructor;

use crate::imp;
use crate::runtime::{Runtime, lock};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ThreadKey(u64);

impl ThreadKey {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// How far a thread of the module has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Its function runs, or is about to.
    Running,
    /// Its function has returned; its destructors run.
    Ending,
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
    /// `None` for a thread of the host.
    phase: Option<Phase>,
    destructors: Vec<Pending>,
    /// Keys with a destructor that this thread has set to something.
    keys: Vec<u32>,
}

impl Thread {
    fn has_destructors(&self) -> bool {
        !self.destructors.is_empty() || !self.keys.is_empty()
    }
}

#[derive(Default)]
struct Table {
    threads: HashMap<ThreadKey, Thread>,
    /// The module's keys with their destructors.
    keys: HashMap<u32, Option<Destructor>>,
}

/// The threads of one module.
#[derive(Default)]
pub(crate) struct Threads {
    table: Mutex<Table>,
    /// Signalled whenever a thread of the module goes on to its next phase or ends.
    changed: Condvar,
}

/// The threads of the host that are tied to a module, and those of the module itself, see `THREAD`.
struct CurrentThread {
    key: ThreadKey,
    /// Modules that have something registered on this thread.
    modules: Vec<Weak<Runtime>>,
}

impl Drop for CurrentThread {
    fn drop(&mut self) {
        for module in self.modules.drain(..).filter_map(|module| module.upgrade()) {
            module.threads.finish(self.key);
        }
    }
}

thread_local! {
    /// Its destructor runs at the end of every thread that is tied to a module, however the thread ends.
    static THREAD: RefCell<CurrentThread> =
        RefCell::new(CurrentThread { key: ThreadKey::next(), modules: Vec::new() });
}

/// Runs `body` with the current thread; `None` if the thread is so near its end that it cannot be tied to a module.
fn with_current_thread<R>(body: impl FnOnce(&mut CurrentThread) -> R) -> Option<R> {
    THREAD.try_with(|thread| body(&mut thread.borrow_mut())).ok()
}

impl CurrentThread {
    /// Has `module` told when this thread ends.
    fn tie_to(&mut self, module: &Arc<Runtime>) {
        let new = Arc::downgrade(module);
        if !self.modules.iter().any(|known| known.ptr_eq(&new)) {
            // Modules that are gone make room, so that a thread that outlives thousands of them does not collect them.
            self.modules.retain(|known| known.strong_count() > 0);
            self.modules.push(new);
        }
    }
}

/// Registers a destructor of the calling thread with `module`.
///
/// A thread so near its end that nothing can be registered loses the destructor: its object is never dropped, and its
/// memory is reclaimed with the module's.
pub(crate) fn register_destructor(
    module: &Arc<Runtime>,
    destructor: Destructor,
    object: *mut std::ffi::c_void,
) {
    on_current_thread(module, |_, thread| thread.destructors.push(Pending { destructor, object }));
}

/// Notes that the calling thread has set `key` of `module` to something.
pub(crate) fn note_key_value(module: &Arc<Runtime>, key: u32) {
    on_current_thread(module, |keys, thread| {
        if matches!(keys.get(&key), Some(Some(_))) && !thread.keys.contains(&key) {
            thread.keys.push(key);
        }
    });
}

fn on_current_thread(
    module: &Arc<Runtime>,
    body: impl FnOnce(&HashMap<u32, Option<Destructor>>, &mut Thread),
) {
    let key = with_current_thread(|thread| {
        thread.tie_to(module);
        thread.key
    });
    if let Some(key) = key {
        let mut table = lock(&module.threads.table);
        let Table { threads, keys } = &mut *table;
        let thread = threads.entry(key).or_insert_with(|| Thread {
            os_id: imp::current_thread_id(),
            phase: None,
            destructors: Vec::new(),
            keys: Vec::new(),
        });
        body(keys, thread);
    }
}

/// A thread that a module is about to start: counted from now on, so that no unload can overtake it.
///
/// Dropping the value before the thread runs takes it off the count again.
pub(crate) struct NewThread {
    module: Arc<Runtime>,
    key: ThreadKey,
    started: bool,
}

impl NewThread {
    /// Counts a thread; `None` if the module is being unloaded.
    pub(crate) fn announce(module: &Arc<Runtime>) -> Option<Self> {
        let mut table = lock(&module.threads.table);
        if module.is_closing() {
            return None;
        }
        let key = ThreadKey::next();
        let thread =
            Thread { os_id: 0, phase: Some(Phase::Running), destructors: Vec::new(), keys: Vec::new() };
        table.threads.insert(key, thread);
        Some(Self { module: Arc::clone(module), key, started: false })
    }

    /// Runs the thread: to be called on it, with what its function does. Afterwards the thread has ended for the
    /// module, whose code it does not enter any more.
    pub(crate) fn run<R>(mut self, function: impl FnOnce() -> R) -> R {
        self.started = true;
        with_current_thread(|thread| {
            thread.key = self.key;
            thread.tie_to(&self.module);
        });
        if let Some(thread) = lock(&self.module.threads.table).threads.get_mut(&self.key) {
            thread.os_id = imp::current_thread_id();
        }
        let result = function();
        // A thread that leaves `function` by `pthread_exit` or cancellation gets here never; it is finished by the
        // destructor of `THREAD`.
        self.module.threads.finish(self.key);
        result
    }
}

impl Drop for NewThread {
    fn drop(&mut self) {
        if !self.started {
            self.module.threads.remove(self.key);
        }
    }
}

impl Threads {
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

    /// The module's own threads that have not ended, waiting for that until `deadline`.
    ///
    /// A thread whose function has returned gets `ENDING_GRACE` to run its destructors, even after the deadline.
    pub(crate) fn wait_for_module_threads(&self, deadline: Instant) -> Vec<ThreadInfo> {
        let grace = deadline + ENDING_GRACE;
        let mut table = lock(&self.table);
        loop {
            let mut module_threads =
                table.threads.values().filter(|thread| thread.phase.is_some()).peekable();
            if module_threads.peek().is_none() {
                return Vec::new();
            }
            let all_ending = module_threads.all(|thread| thread.phase == Some(Phase::Ending));
            let until = if all_ending { grace } else { deadline };
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return infos(table.threads.values().filter(|thread| thread.phase.is_some()));
            };
            table =
                self.changed.wait_timeout(table, left).unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// Live threads of the host, other than the calling one, on which destructors are registered.
    pub(crate) fn other_threads_with_destructors(&self) -> Vec<ThreadInfo> {
        let current = with_current_thread(|thread| thread.key);
        let table = lock(&self.table);
        infos(
            table
                .threads
                .iter()
                .filter(|(key, thread)| {
                    Some(**key) != current && thread.phase.is_none() && thread.has_destructors()
                })
                .map(|(_, thread)| thread),
        )
    }

    /// Runs the destructors that are registered on the calling thread, and those that they register.
    ///
    /// Returns whether there were any.
    pub(crate) fn run_own_destructors(&self) -> bool {
        with_current_thread(|thread| thread.key).is_some_and(|key| {
            let any = self.run_destructors(key);
            self.remove(key);
            any
        })
    }

    /// Forgets everything that is registered on any thread: what is left cannot be run any more.
    pub(crate) fn clear(&self) {
        lock(&self.table).threads.clear();
    }

    /// Ends the thread `key`, which is the calling one: its destructors run, and then it is gone.
    fn finish(&self, key: ThreadKey) {
        if let Some(thread) = lock(&self.table).threads.get_mut(&key)
            && thread.phase.is_some()
        {
            thread.phase = Some(Phase::Ending);
        }
        self.changed.notify_all();
        self.run_destructors(key);
        self.remove(key);
    }

    fn remove(&self, key: ThreadKey) {
        lock(&self.table).threads.remove(&key);
        self.changed.notify_all();
    }

    /// Runs the destructors of the thread `key`, which is the calling one, until none is left.
    ///
    /// As in the C library, those of thread-local objects come first, in the reverse order of their registration, and
    /// then those of keys, each at most [`KEY_ROUNDS`] times.
    fn run_destructors(&self, key: ThreadKey) -> bool {
        let mut any = false;
        let mut rounds = 0;
        loop {
            // No lock is held while a destructor runs: it may register more.
            let next = lock(&self.table).threads.get_mut(&key).and_then(|thread| thread.destructors.pop());
            if let Some(Pending { destructor, object }) = next {
                any = true;
                // SAFETY: the module registered the pair on this thread, and its image is loaded: an unload waits for
                // the threads of the module, and refuses while another thread has destructors.
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
                return any;
            }
            for (key, destructor) in destructors {
                if let Some(value) = imp::take_key_value(key) {
                    any = true;
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

/// How long an unload waits for the destructors of a thread whose function has returned.
const ENDING_GRACE: Duration = Duration::from_secs(1);

fn infos<'a>(threads: impl Iterator<Item = &'a Thread>) -> Vec<ThreadInfo> {
    let mut infos: Vec<ThreadInfo> =
        threads.map(|thread| ThreadInfo { id: thread.os_id, name: imp::thread_name(thread.os_id) }).collect();
    infos.sort_by_key(|info| info.id);
    infos
}
