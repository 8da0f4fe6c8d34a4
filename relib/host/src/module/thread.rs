//! What a module has on the calling thread: its destructors, and its thread-local storage.

use std::fmt;

use super::Module;
use crate::platform;

impl<E> Module<E> {
    /// Runs the destructors of the module's thread-local objects of the calling thread, so that another thread can
    /// unload the module while this one lives on.
    ///
    /// Afterwards the thread is to the module like one that never called it: it may call it again, and then gets new
    /// thread-local objects.
    ///
    /// Does nothing for a module that was loaded [permanently](crate::LoadOptions::permanent): its destructors run at the
    /// end of the thread.
    ///
    /// # Errors
    /// If code of the module is running on this thread, as in an import that the module has called, or if destructors
    /// of its thread-local objects are with the C library.
    pub fn release_thread(&self) -> Result<(), ReleaseError> {
        // The stack cannot be walked past code without unwind tables; then the table still knows of the module's threads.
        if self.parts.runtime.threads.runs_on_current() || platform::is_on_stack(&self.address_range()) {
            return Err(ReleaseError::CalledFromModule);
        }
        if self.parts.permanent {
            return Ok(());
        }
        if let Some(count) = self.destructors_elsewhere() {
            return Err(ReleaseError::DestructorsElsewhere { count });
        }
        self.finish_current_thread();
        Ok(())
    }

    /// How many destructors of the module's thread-local objects are with the C library; `None` if there are none.
    ///
    /// Only constructors of an image that was loaded in place can have registered some there: those of a private copy
    /// run when relib is in between.
    pub(crate) fn destructors_elsewhere(&self) -> Option<usize> {
        let count = || self.parts.library.thread_local_destructors();
        if self.parts.copy.is_some() { None } else { count().filter(|count| *count > 0) }
    }

    /// Runs the destructors of the calling thread and makes its thread-local objects new.
    ///
    /// No code of the module may be running on this thread, and there must be no
    /// [`destructors_elsewhere`](Self::destructors_elsewhere).
    pub(crate) fn finish_current_thread(&self) {
        let parts = &**self.parts;
        parts.runtime.threads.run_own_destructors();
        if let Some(template) = &parts.image.tls {
            // SAFETY: all destructors have run, and no code of the module is running on this thread, say the callers.
            unsafe { parts.library.reset_thread_locals(template) };
        }
    }
}

/// Why a thread could not be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReleaseError {
    /// Code of the module is running on the thread.
    CalledFromModule,
    /// Constructors of a module that was loaded in place have made thread-local objects before relib was there; the C
    /// library has their destructors, and runs them at the end of the thread.
    DestructorsElsewhere {
        /// How many, on all threads.
        count: usize,
    },
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CalledFromModule => write!(
                f,
                "code of the module is running on this thread; release the thread when all its calls into the module \
                 have returned"
            ),
            Self::DestructorsElsewhere { count } => write!(
                f,
                "{count} thread-local objects that constructors of the module have made are dropped by the C library \
                 when their threads end; load the module without LoadOptions::in_place, so that relib is there first"
            ),
        }
    }
}

impl std::error::Error for ReleaseError {}
