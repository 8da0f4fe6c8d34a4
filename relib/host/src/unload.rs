//! Unloading: the module says goodbye, nothing of it runs any more, its image goes, and then what it owned.
//!
//! Everything that can refuse an unload comes before the image is touched, and hands the module back. What the module
//! owned is freed last, when its code is really gone. How an image is closed is `module`'s; this room must not know how a
//! module was loaded.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use relib_interface::interface::ExportsHandle;

use crate::module::{InTheWay, Module, Parts, SHORT_WAIT, Unloaded};
use crate::owned::{Descriptor, Holds, InUse, PanicInfo, ThreadInfo};
use crate::platform;

/// Why a module could not be unloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnloadError {
    /// The module was loaded by [`LoadOptions::permanent`](crate::LoadOptions::permanent).
    Permanent,
    /// The module's `before_unload` panicked.
    BeforeUnloadPanicked(PanicInfo),
    /// Threads that the module started have not ended, or threads of the host are running destructors of its
    /// thread-local objects.
    ThreadsStillRunning {
        /// The threads.
        threads: Vec<ThreadInfo>,
    },
    /// Other live threads of the host have thread-local objects of the module with destructors.
    ThreadLocalsAlive {
        /// The threads.
        threads: Vec<ThreadInfo>,
    },
    /// The module has left signal handlers that point into its code.
    SignalHandlers {
        /// Numbers of the signals.
        signals: Vec<i32>,
    },
    /// The module has left descriptors open, and was loaded with [`DescriptorPolicy::Refuse`](crate::DescriptorPolicy::Refuse).
    DescriptorsOpen {
        /// The descriptors.
        descriptors: Vec<Descriptor>,
    },
    /// A [`State`](crate::State) that the module has changed is being changed, by this module or another.
    StateInUse,
    /// A [`State`](crate::State) holds memory of the module's own, which would go with it.
    StateHoldsMemory {
        /// Number of blocks.
        blocks: usize,
    },
    /// A [`State`](crate::State) holds memory of another one, which would go with that.
    StateHoldsOtherState {
        /// Number of blocks.
        blocks: usize,
    },
    /// The dynamic loader keeps the image: it was closed and is still there, or it cannot go for a reason that is known
    /// before.
    ImageStayed {
        /// Why, as far as there is evidence.
        reasons: Vec<StayReason>,
    },
}

/// Why the dynamic loader has kept an image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StayReason {
    /// The file asks never to be unmapped (`DF_1_NODELETE`).
    NoDelete,
    /// The file defines symbols that must be unique in the process (`STB_GNU_UNIQUE`).
    UniqueSymbols(Vec<String>),
    /// The module has opened itself and not closed the handle.
    OpenedByItself {
        /// How often.
        times: usize,
    },
    /// Destructors of the module's thread-local objects are registered with the C library, which keeps the image until
    /// the threads that they belong to have ended.
    ThreadLocalDestructors {
        /// How many.
        count: usize,
    },
    /// None of the above: something outside the module holds the image.
    HeldElsewhere,
}

impl fmt::Display for StayReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDelete => write!(
                f,
                "the file is marked never to be unmapped (linked with -z nodelete); load it without \
                 LoadOptions::in_place, which clears the mark in a private copy"
            ),
            Self::UniqueSymbols(symbols) => write!(
                f,
                "the file defines symbols that must be unique in the process ({}); load it without \
                 LoadOptions::in_place, or compile its C++ code with -fno-gnu-unique",
                Shortened(symbols)
            ),
            Self::OpenedByItself { times: 1 } => write!(
                f,
                "the module has opened itself by {} and not closed the handle; close it in before_unload",
                platform::OPENS_LIBRARIES
            ),
            Self::OpenedByItself { times } => write!(
                f,
                "the module has opened itself by {} {times} times and not closed the handles; close them in \
                 before_unload",
                platform::OPENS_LIBRARIES
            ),
            Self::ThreadLocalDestructors { count } => write!(
                f,
                "destructors of thread-local objects that its constructors made wait for the end of their threads \
                 ({count} of them); end these threads, or load it without LoadOptions::in_place, so that relib is \
                 there first"
            ),
            Self::HeldElsewhere => write!(
                f,
                "something outside the module holds it: a handle that another library opened, or a library that was \
                 linked against it"
            ),
        }
    }
}

/// Writes the first few of many items.
struct Shortened<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Shortened<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        for (index, item) in self.0.iter().take(SHOWN).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{item}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl fmt::Display for UnloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permanent => write!(f, "the module was loaded as permanent and cannot be unloaded"),
            Self::BeforeUnloadPanicked(info) => write!(f, "the module's before_unload {info}"),
            Self::ThreadsStillRunning { threads } => write!(
                f,
                "the module's code is still running on {}; stop and join its threads, for example in before_unload, \
                 or wait by unload_within",
                Shortened(threads)
            ),
            Self::ThreadLocalsAlive { threads } => write!(
                f,
                "thread-local objects of the module are alive on {}; end these threads, or call \
                 Module::release_thread on each",
                Shortened(threads)
            ),
            Self::SignalHandlers { signals } => {
                let names: Vec<String> =
                    signals.iter().map(|signal| platform::signal_name(*signal)).collect();
                write!(
                    f,
                    "the module has left handlers for signals: {}; restore the former handlers in before_unload",
                    Shortened(&names)
                )
            }
            Self::DescriptorsOpen { descriptors } => write!(
                f,
                "the module has left descriptors open: {}; close them in before_unload",
                Shortened(descriptors)
            ),
            Self::StateInUse => write!(
                f,
                "a state that the module has changed is being changed; unload it when that is over, or wait by \
                 unload_within"
            ),
            Self::StateHoldsMemory { blocks } => write!(
                f,
                "a state holds memory of the module's own ({blocks} of its blocks), moved into it from a static or a \
                 thread-local; pass a copy as the argument of ChangeState::change, or drop the state first"
            ),
            Self::StateHoldsOtherState { blocks } => write!(
                f,
                "a state holds memory of another state ({blocks} of its blocks), which the module has moved there by way of \
                 a static or a thread-local; pass a copy as the argument of ChangeState::change, or drop the state that \
                 holds it first"
            ),
            Self::ImageStayed { reasons } => {
                write!(f, "the module's image did not leave the process: ")?;
                for (index, reason) in reasons.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "; " };
                    write!(f, "{separator}{reason}")?;
                }
                Ok(())
            }
        }
    }
}

impl Error for UnloadError {}

fn refused(in_the_way: InTheWay) -> UnloadError {
    match in_the_way {
        InTheWay::Threads(InUse::Running(threads)) => UnloadError::ThreadsStillRunning { threads },
        InTheWay::Threads(InUse::Registered(threads)) => UnloadError::ThreadLocalsAlive { threads },
        InTheWay::SignalHandlers(signals) => UnloadError::SignalHandlers { signals },
        InTheWay::Descriptors(descriptors) => UnloadError::DescriptorsOpen { descriptors },
    }
}

/// An unload that did not happen, with the module, which can still be called and unloaded again.
pub struct FailedUnload<E> {
    error: Box<UnloadError>,
    module: Module<E>,
}

impl<E> FailedUnload<E> {
    /// Why.
    pub fn error(&self) -> &UnloadError {
        &self.error
    }

    /// The module.
    pub fn module(&self) -> &Module<E> {
        &self.module
    }

    /// Takes the module out.
    pub fn into_module(self) -> Module<E> {
        self.module
    }

    /// Takes both apart.
    pub fn into_parts(self) -> (UnloadError, Module<E>) {
        (*self.error, self.module)
    }
}

impl<E> fmt::Debug for FailedUnload<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailedUnload").field("error", &self.error).field("module", &self.module).finish()
    }
}

impl<E> fmt::Display for FailedUnload<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot unload {}: {}", self.module.path().display(), self.error)
    }
}

impl<E> Error for FailedUnload<E> {}

/// Longer than anybody waits, and short enough to be added to any time.
const LONG_WAIT: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

impl<E: ExportsHandle> Module<E> {
    /// Unloads the module: calls its `before_unload`, runs the destructors of the calling thread's thread-local
    /// objects, unmaps the image, makes sure that it is gone, and frees everything that the module has allocated.
    ///
    /// Threads that are just ending get some milliseconds for that, and a second once their destructors run; see
    /// [`unload_within`](Self::unload_within) for more.
    ///
    /// # Errors
    /// [`UnloadError`] says what is in the way. The module is handed back with it, can be called as before, and can be
    /// unloaded later; `before_unload` is then called again.
    #[allow(
        clippy::result_large_err,
        reason = "the error holds the module, which is two pointers and a handle"
    )]
    pub fn unload(self) -> Result<Unloaded, FailedUnload<E>> {
        self.unload_within(SHORT_WAIT)
    }

    /// As [`unload`](Self::unload), and waits up to `limit` for the module's threads to end, and for those of the host
    /// that hold thread-local objects of the module.
    ///
    /// # Errors
    /// As for [`unload`](Self::unload).
    #[allow(
        clippy::result_large_err,
        reason = "the error holds the module, which is two pointers and a handle"
    )]
    pub fn unload_within(self, limit: Duration) -> Result<Unloaded, FailedUnload<E>> {
        match self.prepare(Instant::now() + limit.min(LONG_WAIT)) {
            Ok(()) => self.close().map_err(|module| {
                let error = UnloadError::ImageStayed { reasons: stay_reasons(&module.parts) };
                FailedUnload { error: Box::new(error), module }
            }),
            Err(error) => Err(FailedUnload { error: Box::new(error), module: self }),
        }
    }

    /// Everything that can refuse an unload.
    fn prepare(&self, deadline: Instant) -> Result<(), UnloadError> {
        let parts = &**self.parts;
        if parts.permanent {
            return Err(UnloadError::Permanent);
        }
        if let Some(before_unload) = parts.before_unload {
            // SAFETY: the symbol is that of a function without parameters and return value.
            let finished = unsafe { self.call::<()>(before_unload) };
            if finished.is_none() {
                let info = self.last_panic().expect("a call that returns nothing has left a report");
                return Err(UnloadError::BeforeUnloadPanicked(info));
            }
        }
        self.refuse_if_in_use(deadline).map_err(refused)?;
        if self.destructors_elsewhere().is_some() {
            return Err(UnloadError::ImageStayed { reasons: stay_reasons(parts) });
        }
        // From here on the calling thread's thread-local objects are gone; they are new again if the unload fails.
        self.finish_current_thread();
        // Destructors may have started threads or called the host back.
        self.refuse_if_in_use(deadline).map_err(refused)?;
        self.refuse_if_in_state(deadline)
    }

    /// Refuses if a state that outlives the module has memory of it: of its heap, of its image, or what its constructors
    /// have allocated before it had a heap; or if it has memory of another state, which the module alone keeps.
    fn refuse_if_in_state(&self, deadline: Instant) -> Result<(), UnloadError> {
        let image = self.address_range();
        let runtime = &self.parts.runtime;
        // SAFETY: the image is mapped.
        let early = unsafe { self.parts.early.block() };
        let is_of_module = |block: *const u8| {
            image.contains(&block.addr())
                || runtime.heap.owns(block.cast())
                || early.is_some_and(|early| early.contains(block.addr()))
        };
        let states = runtime.states();
        for state in &states {
            state.refuse_memory(is_of_module, &states, deadline).map_err(|holds| match holds {
                Holds::InScope => UnloadError::StateInUse,
                Holds::ModuleMemory(blocks) => UnloadError::StateHoldsMemory { blocks },
                Holds::OtherStates(blocks) => UnloadError::StateHoldsOtherState { blocks },
            })?;
        }
        Ok(())
    }
}

/// The evidence for why an image has stayed.
fn stay_reasons(parts: &Parts) -> Vec<StayReason> {
    let mut reasons = Vec::new();
    if parts.copy.is_none() {
        if parts.image.flags_1.is_some_and(|flags| flags.nodelete()) {
            reasons.push(StayReason::NoDelete);
        }
        if !parts.image.unique_symbols.is_empty() {
            let names = parts.image.unique_symbols.iter().map(|symbol| symbol.name.to_string()).collect();
            reasons.push(StayReason::UniqueSymbols(names));
        }
    }
    let times = parts.runtime.ledger().times_opened(parts.library.handle_address());
    if times > 0 {
        reasons.push(StayReason::OpenedByItself { times });
    }
    if let Some(count) = parts.library.thread_local_destructors().filter(|count| *count > 0) {
        reasons.push(StayReason::ThreadLocalDestructors { count });
    }
    if reasons.is_empty() {
        reasons.push(StayReason::HeldElsewhere);
    }
    reasons
}
