//! Loaded modules: calling them and looking at them. Unloading is in [`unload`](crate::unload).

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use relib_abi::call::{FunctionEntry, Outcome};
use relib_abi::entry::HostContext;
use relib_interface::Transfer;
use relib_interface::crossing::Return;
use relib_interface::interface::{ExportsHandle, PanicObserver, receive};

use crate::file::description::{self, InterfaceDescription};
use crate::file::error::CallMainError;
use crate::image::ImageFile;
use crate::load::Reservation;
use crate::load::options::LoadOptions;
use crate::load::staging::StagedFile;
use crate::owned::early::Early;
use crate::owned::heap::MemoryUse;
use crate::owned::ledger::{Descriptor, Mapping, OpenLibrary};
use crate::owned::panics::{PanicInfo, PanicStore};
use crate::owned::runtime::Runtime;
use crate::platform::{self, Library};
use crate::state::saved::Saving;

/// A loaded module, with the handle `E` for its exports.
///
/// It can be called from any thread and unloaded from any thread. Dropping it without unloading keeps the module
/// loaded until the process ends.
#[must_use = "dropping a module does not unload it"]
pub struct Module<E> {
    // Leaked when the module is dropped: its image stays mapped and uses them.
    pub(crate) parts: ManuallyDrop<Box<Parts>>,
    pub(crate) exports: ManuallyDrop<E>,
}

/// Everything that belongs to a loaded module.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) path: PathBuf,
    pub(crate) options: LoadOptions,
    pub(crate) runtime: Arc<Runtime>,
    /// The module keeps the address.
    pub(crate) context: Box<HostContext>,
    pub(crate) library: Library,
    pub(crate) early: Early,
    pub(crate) image: Arc<ImageFile>,
    pub(crate) staged: Option<StagedFile>,
    pub(crate) panics: Arc<PanicStore>,
    pub(crate) main: Option<NamedFunction>,
    /// Calls `main` and drops what it returns.
    pub(crate) run_main: Option<FunctionEntry>,
    pub(crate) before_unload: Option<FunctionEntry>,
    pub(crate) saving: Saving,
    /// Held until the module is gone, so that its file is not loaded twice.
    pub(crate) reservation: Reservation,
}

/// A function that a module exports by name, and whose type matters.
#[derive(Debug)]
pub(crate) struct NamedFunction {
    pub(crate) entry: FunctionEntry,
    /// Says what it returns, as an interface of one function.
    pub(crate) description: Arc<InterfaceDescription>,
}

impl<E> fmt::Debug for Module<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("path", &self.parts.path).finish_non_exhaustive()
    }
}

impl<E> Drop for Module<E> {
    fn drop(&mut self) {
        self.parts.reservation.note_drop();
    }
}

impl<E: ExportsHandle> Module<E> {
    pub(crate) fn new(parts: Box<Parts>, exports: E) -> Self {
        Self { parts: ManuallyDrop::new(parts), exports: ManuallyDrop::new(exports) }
    }

    /// The functions that the module exports. Each returns `None` if the module panicked.
    ///
    /// What they return by reference cannot outlive the module:
    ///
    /// ```compile_fail,E0505
    /// # mod shared {
    /// #     #[relib_interface::interface]
    /// #     pub trait Exports { fn name() -> &'static str; }
    /// # }
    /// fn last_word(module: relib::Module<shared::ModuleExports>) {
    ///     let name = module.exports().name();
    ///     let _ = module.unload();
    ///     println!("{name:?}");
    /// }
    /// # fn main() {}
    /// ```
    pub fn exports(&self) -> &E {
        &self.exports
    }

    /// Calls the module's `main`.
    ///
    /// Returns `None` if it panicked, if there is none, or if it returns another type than `R`;
    /// [`try_call_main`](Self::try_call_main) says which.
    pub fn call_main<R: Transfer + Return>(&self) -> Option<R> {
        self.try_call_main().ok()
    }

    /// Calls the module's `main`.
    ///
    /// # Errors
    /// If the module exports no `main`, if it returns another type than `R`, in which case it is not called, or if it
    /// panicked.
    pub fn try_call_main<R: Transfer + Return>(&self) -> Result<R, CallMainError> {
        let main = self.parts.main.as_ref().ok_or(CallMainError::Missing)?;
        if let Some(error) = description::match_main(<R as Return>::TYPE, &main.description) {
            return Err(error);
        }
        // SAFETY: the fingerprints of the return types are equal.
        unsafe { self.call::<R>(main.entry) }.ok_or(CallMainError::Panicked)
    }

    /// Calls the module's `main`, whatever it returns; the module drops what that is.
    ///
    /// For tools that do not know the module. A host that does asks for the value by [`call_main`](Self::call_main).
    ///
    /// # Errors
    /// If the module exports no `main`, or if it panicked.
    pub fn run_main(&self) -> Result<(), CallMainError> {
        let entry = self.parts.run_main.ok_or(CallMainError::Missing)?;
        // SAFETY: the symbol is that of a function without parameters and return value.
        unsafe { self.call::<()>(entry) }.ok_or(CallMainError::Panicked)
    }

    /// # Safety
    /// `entry` must be that of a function of the module that takes nothing and returns `R`.
    pub(crate) unsafe fn call<R: Return>(&self, entry: FunctionEntry) -> Option<R> {
        #[allow(improper_ctypes_definitions, reason = "both sides are built by the same compiler")]
        type Thunk<W> = unsafe extern "C" fn() -> Outcome<W>;
        // SAFETY: the caller says that the entry is that of such a function, whose thunk has this type.
        unsafe {
            let thunk = std::mem::transmute::<*const (), Thunk<R::Wire>>(entry.call);
            self.receive::<R>(thunk(), entry)
        }
    }

    /// Makes a value of what a thunk has returned; `None` if it panicked.
    ///
    /// # Safety
    /// The outcome must just have been returned by the thunk of `entry`, a function of the module that returns `R`.
    pub(crate) unsafe fn receive<R: Return>(
        &self,
        outcome: Outcome<R::Wire>,
        entry: FunctionEntry,
    ) -> Option<R> {
        // SAFETY: as the caller guarantees; the image is loaded as long as the report is kept.
        let result = unsafe { receive::<R>(outcome, entry.release) };
        result.map_err(|report| self.parts.panics.panicked(report)).ok()
    }
}

impl<E> Module<E> {
    /// The path that the module was loaded from, without links.
    pub fn path(&self) -> &Path {
        &self.parts.path
    }

    /// The addresses that the module's image occupies.
    pub fn address_range(&self) -> Range<usize> {
        self.parts.library.span(&self.parts.image)
    }

    /// The last panic of an export, of `main` or of `before_unload`; `None` if there was none.
    ///
    /// Looking up the symbols of the backtrace may take some milliseconds, at each call.
    pub fn last_panic(&self) -> Option<PanicInfo> {
        self.parts.panics.last()
    }

    /// The memory that the module has allocated and not freed.
    ///
    /// Takes time in proportion to the pages of the heap. Approximate while other threads run code of the module.
    pub fn memory(&self) -> MemoryUse {
        self.parts.runtime.heap.usage()
    }

    /// Descriptors that the module has opened and not closed.
    pub fn descriptors(&self) -> Vec<Descriptor> {
        self.parts.runtime.ledger().descriptors()
    }

    /// Memory that the module has mapped and not unmapped.
    pub fn mappings(&self) -> Vec<Mapping> {
        self.parts.runtime.ledger().mappings()
    }

    /// Libraries that the module has opened and not closed.
    pub fn libraries(&self) -> Vec<OpenLibrary> {
        let handles = self.parts.runtime.ledger().libraries();
        OpenLibrary::of_handles(handles)
    }

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
        if self.parts.options.permanent {
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
        if self.parts.staged.is_some() { None } else { count().filter(|count| *count > 0) }
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
