//! A loaded module: calling it, looking at it, releasing a thread of it, and closing its image.
//!
//! It must not know how a module is loaded, where its file was copied to, or in which order an unload asks what.

mod close;
mod main;
mod parts;
mod reservation;
mod saving;
mod thread;

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::path::Path;

use relib_abi::call::{FunctionEntry, Outcome};
use relib_interface::crossing::Return;
use relib_interface::interface::{ExportsHandle, PanicObserver, receive};

use crate::owned::{Descriptor, Mapping, MemoryUse, OpenLibrary, PanicInfo};

pub(crate) use close::{InTheWay, SHORT_WAIT};
pub(crate) use parts::{NamedFunction, Parts, Saving};
pub(crate) use reservation::Reservation;

pub use close::Unloaded;
pub use main::CallMainError;
pub use thread::ReleaseError;

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
}
