//! Locks whose data stays whole when a holder panics, so that they are never poisoned. Knows nothing of relib.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex whose data stays whole when a holder panics.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locked while a test starts a process: until that runs its program it has the files of this one open, so that leases
/// are refused.
#[cfg(all(test, target_os = "linux"))]
pub(crate) static STARTING_PROCESSES: Mutex<()> = Mutex::new(());
