//! Reloading: watching a module's file, and swapping a new build in at a point that the host chooses.
//!
//! - `watch.rs`: a thread that waits for changes of the file, and verifies and copies each new build;
//! - this file: [`Reloader`], which swaps what the thread has found, with the state of the module;
//! - `options.rs` and `event.rs`: what a host chooses and what it is told.
//!
//! A swap loads the new build beside the old module, moves the state, and then unloads the old one. Whatever fails on
//! the way, the old module stays, and the new one is unloaded.
//!
//! This module must not know how a file is verified, loaded or unloaded.

mod event;
mod options;
mod watch;

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use relib_interface::imports::ProvideImports;
use relib_interface::interface::ExportsHandle;

use crate::load::Verified;
use crate::module::{Module, Unloaded};
use crate::state::{HandOver, StateError};
use crate::unload::FailedUnload;

pub use event::{Events, OldModule, ReloadError, ReloadEvent, Reloaded};
use options::EventCallback;
pub use options::{InUsePolicy, ReloadOptions};
use watch::{Armed, Finding, Source, Watch};

/// A module that is replaced when a new build of its file appears.
///
/// The new build is verified and copied in the background. It takes the old module's place in [`poll`](Self::poll),
/// which the host calls between two steps of its work, when it is not using the module. A build that is half written,
/// does not verify, cannot be loaded or does not take over the state leaves the old module running, and the event says
/// why.
///
/// ```no_run
/// # mod shared {
/// #     #[relib_interface::interface]
/// #     pub trait Exports { fn tick(); }
/// # }
/// # use shared::ModuleExports;
/// # fn main() -> Result<(), relib::ReloadError> {
/// // SAFETY: the module is our own code, and so will be each build of it.
/// let mut reloader = unsafe { relib::Reloader::<ModuleExports>::start("target/debug/libmodule.so", ())? };
/// loop {
///     for event in reloader.poll() {
///         println!("{event}");
///     }
///     reloader.exports().tick();
/// #   break Ok(());
/// }
/// # }
/// ```
///
/// Dropping it ends the watch and, as with a [`Module`], leaves the module loaded; see [`unload`](Self::unload) and
/// [`into_module`](Self::into_module).
#[must_use = "dropping a reloader does not unload its module"]
pub struct Reloader<E> {
    module: Module<E>,
    generation: u64,
    /// Modules that could not be unloaded when they were replaced.
    zombies: Vec<Module<E>>,
    /// A build that waits for [`Reloader::reload`].
    ready: Option<Box<Verified<E>>>,
    in_use: InUsePolicy,
    on_request: bool,
    on_event: Option<EventCallback>,
    source: Source,
    watch: Watch<E>,
}

impl<E> fmt::Debug for Reloader<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader")
            .field("module", &self.module)
            .field("generation", &self.generation)
            .field("zombies", &self.zombies.len())
            .finish_non_exhaustive()
    }
}

impl ReloadOptions {
    /// Loads the module at `path` and watches its file; see [`Reloader::start`].
    ///
    /// # Errors
    /// If the module cannot be loaded, or its directory cannot be watched.
    ///
    /// # Safety
    /// As for [`Reloader::start`].
    pub unsafe fn start<E: ExportsHandle>(
        self,
        path: impl AsRef<Path>,
        imports: impl ProvideImports,
    ) -> Result<Reloader<E>, ReloadError> {
        // SAFETY: as the caller guarantees.
        unsafe { Reloader::with_options(self, path.as_ref(), &imports) }
    }
}

impl<E: ExportsHandle> Reloader<E> {
    /// Loads the module at `path` and watches its file, with the default [`ReloadOptions`].
    ///
    /// `E` and `imports` are those of [`load_module`](crate::load_module). The file may be replaced in any way: written
    /// over, renamed or linked into place, deleted and built again.
    ///
    /// # Errors
    /// If the module cannot be loaded, or its directory cannot be watched.
    ///
    /// # Safety
    /// As for [`load_module`](crate::load_module), for the file as it is and for each build that takes its place while
    /// the reloader exists.
    pub unsafe fn start(path: impl AsRef<Path>, imports: impl ProvideImports) -> Result<Self, ReloadError> {
        // SAFETY: as the caller guarantees.
        unsafe { ReloadOptions::new().start(path, imports) }
    }

    unsafe fn with_options(
        options: ReloadOptions,
        path: &Path,
        imports: &dyn ProvideImports,
    ) -> Result<Self, ReloadError> {
        let ReloadOptions { load, in_use, on_request, on_event, wake } = options;
        let source = Source::new(path, load, imports.provided()).map_err(ReloadError::Load)?;
        // Watched before it is read, so that no change is missed.
        let armed = Armed::new(&source)?;
        let copied = source.copy().map_err(ReloadError::Load)?;
        let seen = copied.reopen();
        let seen = seen.map_err(|error| ReloadError::Load(source.inaccessible(error)))?;
        let verified = copied.verify::<E>(&source.imports).map_err(ReloadError::Load)?;
        let watch = armed.start(seen, wake)?;
        // SAFETY: as the caller guarantees.
        let module = unsafe { verified.map() }.map_err(ReloadError::Load)?;
        Ok(Self {
            module,
            generation: 1,
            zombies: Vec::new(),
            ready: None,
            in_use,
            on_request,
            on_event,
            source,
            watch,
        })
    }

    /// Takes note of what has happened to the file and, unless reloading is
    /// [on request](ReloadOptions::on_request), swaps in a build that is ready.
    ///
    /// To be called often, at a point where the module may be replaced. It costs next to nothing if nothing has
    /// happened. The events come in the order in which they happened, and have been shown to the
    /// [callback](ReloadOptions::on_event) before.
    pub fn poll(&mut self) -> Events {
        let mut events = Vec::new();
        for finding in self.watch.take() {
            match finding {
                Finding::Ready(verified) => {
                    self.ready = Some(verified);
                    self.happened(&mut events, ReloadEvent::Ready { path: self.source.path.clone() });
                }
                Finding::Incomplete => {
                    let event = ReloadEvent::Incomplete { path: self.source.path.clone() };
                    self.happened(&mut events, event);
                }
                Finding::Refused(error) => self.happened(&mut events, ReloadEvent::Refused(error)),
            }
        }
        if !self.on_request
            && let Some(verified) = self.ready.take()
        {
            let event = self.swap(*verified);
            self.happened(&mut events, event);
        }
        Events::new(events)
    }

    /// Waits until [`poll`](Self::poll) has something to do, for at most `limit`; returns whether it has.
    pub fn wait(&self, limit: Duration) -> bool {
        self.watch.wait(limit)
    }

    /// Swaps in the build that is [ready](ReloadEvent::Ready), or else the file as it is now, even if it is the build
    /// that is loaded or one that was refused before: the way to try again when whatever was in the way has gone.
    pub fn reload(&mut self) -> ReloadEvent {
        let verified = match self.ready.take() {
            Some(verified) => Ok(*verified),
            None => self.source.copy().and_then(|copied| copied.verify(&self.source.imports)),
        };
        let event = match verified {
            Ok(verified) => self.swap(verified),
            Err(error) => ReloadEvent::Refused(ReloadError::Load(error)),
        };
        if let Some(callback) = &mut self.on_event {
            callback(&event);
        }
        event
    }

    /// The module that is loaded now.
    pub fn module(&self) -> &Module<E> {
        &self.module
    }

    /// The functions of the module that is loaded now.
    pub fn exports(&self) -> &E {
        self.module.exports()
    }

    /// Counts the builds that have been loaded, from one.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Modules that were replaced and could not be unloaded, see [`InUsePolicy::Zombie`].
    pub fn zombies(&self) -> &[Module<E>] {
        &self.zombies
    }

    /// Tries to unload the [`zombies`](Self::zombies); each swap does so too. Returns what has been reclaimed.
    pub fn unload_zombies(&mut self) -> Vec<Unloaded> {
        let mut reports = Vec::new();
        for zombie in std::mem::take(&mut self.zombies) {
            match zombie.unload_within(Duration::ZERO) {
                Ok(report) => reports.push(report),
                Err(failed) => self.zombies.push(failed.into_module()),
            }
        }
        reports
    }

    /// Ends the watch and unloads the module.
    ///
    /// # Errors
    /// As for [`Module::unload`].
    #[allow(clippy::result_large_err, reason = "the error holds the module, as that of `Module::unload`")]
    pub fn unload(self) -> Result<Unloaded, FailedUnload<E>> {
        self.into_module().unload()
    }

    /// Ends the watch and hands out the module. Zombies that still cannot be unloaded stay loaded.
    pub fn into_module(mut self) -> Module<E> {
        self.unload_zombies();
        self.module
    }

    fn happened(&mut self, events: &mut Vec<ReloadEvent>, event: ReloadEvent) {
        if let Some(callback) = &mut self.on_event {
            callback(&event);
        }
        events.push(event);
    }

    /// Puts a new build in the place of the module, or says why not.
    fn swap(&mut self, verified: Verified<E>) -> ReloadEvent {
        let _span = tracing::debug_span!("swap", path = %self.source.path.display()).entered();
        let begun = Instant::now();
        self.unload_zombies();
        // SAFETY: the caller of `start` guarantees it for each build.
        let new = match unsafe { verified.map() } {
            Ok(new) => new,
            Err(error) => return ReloadEvent::Refused(ReloadError::Load(error)),
        };
        let old = std::mem::replace(&mut self.module, new);
        let state = match hand_over(&old, &self.module) {
            Ok(state) => state,
            Err(error) => return self.keep(old, ReloadError::State(error)),
        };
        let unloaded = match self.in_use {
            InUsePolicy::Wait(limit) => old.unload_within(limit),
            InUsePolicy::Refuse | InUsePolicy::Zombie => old.unload(),
        };
        let old = match unloaded {
            Ok(report) => OldModule::Unloaded(report),
            Err(failed) => {
                let (error, old) = failed.into_parts();
                if self.in_use != InUsePolicy::Zombie {
                    return self.keep(old, ReloadError::Unload(error));
                }
                self.zombies.push(old);
                OldModule::Zombie(error)
            }
        };
        self.generation += 1;
        let reloaded = Reloaded { generation: self.generation, state, old, took: begun.elapsed() };
        tracing::debug!(generation = reloaded.generation, took = ?reloaded.took, "reloaded");
        ReloadEvent::Reloaded(reloaded)
    }

    /// Takes `old` back because of `error`, and unloads the new module.
    fn keep(&mut self, old: Module<E>, error: ReloadError) -> ReloadEvent {
        let new = std::mem::replace(&mut self.module, old);
        if let Err(failed) = new.unload() {
            self.zombies.push(failed.into_module());
        }
        ReloadEvent::Refused(error)
    }
}

/// Moves the state of a module to the next build. The old module keeps its own: nothing is lost if this fails.
fn hand_over<E: ExportsHandle>(old: &Module<E>, new: &Module<E>) -> Result<HandOver, StateError> {
    let _span = tracing::debug_span!("state").entered();
    match old.save_state()? {
        Some(state) => new.restore_state(&state),
        None => Ok(HandOver::Nothing),
    }
}
