//! What a host chooses about reloading.

use std::fmt;
use std::time::Duration;

use super::event::ReloadEvent;
use crate::load::LoadOptions;

pub(super) type EventCallback = Box<dyn FnMut(&ReloadEvent) + Send>;
pub(super) type WakeCallback = Box<dyn Fn() + Send>;

/// How a module is reloaded; the defaults are those of [`Reloader::start`](crate::Reloader::start).
///
/// ```no_run
/// use std::time::Duration;
///
/// use relib::{InUsePolicy, ReloadOptions};
///
/// # fn main() -> Result<(), relib::ReloadError> {
/// let options = ReloadOptions::new()
///     .when_in_use(InUsePolicy::Wait(Duration::from_millis(500)))
///     .on_event(|event| println!("{event}"));
/// // SAFETY: the module is our own code, and so will be each build of it.
/// let mut reloader = unsafe { options.start::<()>("target/debug/libmodule.so", ())? };
/// reloader.poll();
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct ReloadOptions {
    pub(super) load: LoadOptions,
    pub(super) in_use: InUsePolicy,
    pub(super) on_request: bool,
    pub(super) on_event: Option<EventCallback>,
    pub(super) wake: Option<WakeCallback>,
}

/// What a swap does if the old module cannot be unloaded, because its threads run or its thread-local objects are alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InUsePolicy {
    /// The old module stays and the new build is refused; [`Reloader::reload`](crate::Reloader::reload) tries again.
    #[default]
    Refuse,
    /// As `Refuse`, after waiting this long for what is in the way; the host waits in [`Reloader::poll`](crate::Reloader::poll).
    Wait(Duration),
    /// The new build takes over, and the old module stays loaded beside it as one of the [`Reloader::zombies`](crate::Reloader::zombies), with
    /// its threads, until it can be unloaded.
    Zombie,
}

impl fmt::Debug for ReloadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloadOptions")
            .field("load", &self.load)
            .field("in_use", &self.in_use)
            .field("on_request", &self.on_request)
            .finish_non_exhaustive()
    }
}

impl ReloadOptions {
    /// The defaults: each poll swaps in what is ready, and a module in use is not replaced.
    pub fn new() -> Self {
        Self::default()
    }

    /// How each build is loaded. Builds are always loaded from private copies, because old and new are there at the same
    /// time: [`LoadOptions::in_place`] and [`LoadOptions::permanent`] have no effect.
    pub fn load_options(mut self, options: LoadOptions) -> Self {
        self.load = options;
        self
    }

    /// What a swap does if the old module cannot be unloaded.
    pub fn when_in_use(mut self, policy: InUsePolicy) -> Self {
        self.in_use = policy;
        self
    }

    /// Swaps only in [`Reloader::reload`](crate::Reloader::reload); [`Reloader::poll`](crate::Reloader::poll) says when a build is ready.
    pub fn on_request(mut self, on_request: bool) -> Self {
        self.on_request = on_request;
        self
    }

    /// Shows each event to `callback`, in [`Reloader::poll`](crate::Reloader::poll) and [`Reloader::reload`](crate::Reloader::reload).
    pub fn on_event(mut self, callback: impl FnMut(&ReloadEvent) + Send + 'static) -> Self {
        self.on_event = Some(Box::new(callback));
        self
    }

    /// Calls `wake`, on a thread of the reloader's, when [`Reloader::poll`](crate::Reloader::poll) has something to do: for hosts that sleep in
    /// an event loop of their own. It should only wake that loop.
    pub fn wake(mut self, wake: impl Fn() + Send + 'static) -> Self {
        self.wake = Some(Box::new(wake));
        self
    }
}
