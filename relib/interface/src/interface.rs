//! Interfaces at run time: their descriptions, and the handles through which a host calls a module.

use std::sync::Arc;

use relib_abi::call::{FunctionEntry, Outcome};
use relib_abi::schema::Function;

use crate::crossing::Return;
use crate::panics::ReceivedReport;

/// An interface as one side knows it.
#[derive(Debug)]
pub struct Interface {
    /// The path of the trait: `shared::Exports`.
    pub name: &'static str,
    /// The functions in the order of the trait.
    pub functions: &'static [Function],
    /// The same as metadata, see [`relib_abi::metadata::interface_payload`].
    pub payload: &'static [u8],
}

/// Keeps a record of the host's in its file, for tools: the linker drops what nothing refers to.
#[doc(hidden)]
#[inline(always)]
pub fn keep_record(record: &'static [u8]) {
    std::hint::black_box(record);
}

/// Gets to know of panics in exports.
pub trait PanicObserver: Send + Sync {
    /// A function of the module panicked; the call returns `None`.
    fn panicked(&self, report: ReceivedReport);
}

/// The functions of a module for one interface, in the host's order.
///
/// Out of reach, with the handle around it, before the module's image is unloaded, and dropped after it: what it holds
/// itself is the host's.
pub struct BoundExports {
    functions: Box<[FunctionEntry]>,
    observer: Arc<dyn PanicObserver>,
}

impl std::fmt::Debug for BoundExports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundExports").field("functions", &self.functions.len()).finish_non_exhaustive()
    }
}

impl BoundExports {
    /// Binds functions whose signatures have been compared.
    ///
    /// # Safety
    /// `functions[i]` must be the thunks of a loaded module for function `i` of the interface that the handle around
    /// this was generated for, and the module must stay loaded for as long as anybody can call through this.
    pub unsafe fn new(functions: Box<[FunctionEntry]>, observer: Arc<dyn PanicObserver>) -> Self {
        Self { functions, observer }
    }

    /// The thunk of a function. `index` is below the number of the interface's functions.
    #[doc(hidden)]
    #[inline]
    pub fn thunk(&self, index: usize) -> *const () {
        self.functions[index].call
    }

    /// Makes the result of a call of what the thunk returned.
    ///
    /// # Safety
    /// `outcome` must just have been returned by the thunk of function `index`, whose return type is `R`.
    #[doc(hidden)]
    #[inline]
    pub unsafe fn finish<R: Return>(&self, index: usize, outcome: Outcome<R::Wire>) -> Option<R> {
        // Not looked up for types that own nothing, so that their calls touch one entry once.
        let release = if R::RELEASE.is_null() { std::ptr::null() } else { self.functions[index].release };
        // SAFETY: the caller guarantees that the outcome is that of the function, and `self` is within reach only while
        // the module is loaded.
        match unsafe { receive::<R>(outcome, release) } {
            Ok(value) => Some(value),
            Err(report) => {
                self.panicked(report);
                None
            }
        }
    }

    #[cold]
    fn panicked(&self, report: ReceivedReport) {
        self.observer.panicked(report);
    }
}

/// Makes a value, or the report of a panic, of what a thunk returned.
///
/// # Safety
/// `outcome` must have been returned by a thunk of a function that returns `R`, and `release` be that function's
/// release thunk or null; the image must stay loaded while the report exists.
#[inline]
pub unsafe fn receive<R: Return>(
    mut outcome: Outcome<R::Wire>,
    release: *const (),
) -> Result<R, ReceivedReport> {
    // SAFETY: the report comes from a thunk of a loaded image, says the caller.
    if let Some(report) = unsafe { ReceivedReport::take(outcome.panic) } {
        return Err(report);
    }
    let wire = outcome.value.as_mut_ptr();
    // For types that own nothing the compiler sees that there is nothing to release.
    let release = if R::RELEASE.is_null() { std::ptr::null() } else { release };
    // Releases the callee's value also if copying it panics.
    let _release = Release { wire, release };
    // SAFETY: the value of an outcome without a panic is initialised, and it is received once.
    Ok(unsafe { R::receive(&*wire) })
}

struct Release<W> {
    wire: *mut W,
    release: *const (),
}

impl<W> Drop for Release<W> {
    #[inline]
    fn drop(&mut self) {
        if !self.release.is_null() {
            // SAFETY: a release thunk that is not null has this type by the contract of `FunctionEntry`.
            let release =
                unsafe { std::mem::transmute::<*const (), unsafe extern "C" fn(*mut W)>(self.release) };
            // SAFETY: the wire form was returned by the thunk that belongs to this release thunk, and is not used
            // again.
            unsafe { release(self.wire) };
        }
    }
}

/// Gives a handle the functions of a module.
pub trait ExportBinder {
    /// Binds the functions of `interface`, whose description has been compared with the module's.
    fn bind(&mut self, interface: &'static Interface) -> BoundExports;
}

/// A set of interfaces that a host asks a module for: a generated handle such as `ModuleExports`, a tuple of them, or
/// `()` for a module whose interfaces do not matter.
///
/// # Safety
/// `bind` must bind exactly the interfaces of `interfaces`, and each handle must call only the functions of its own.
pub unsafe trait ExportsHandle: Sized + Send + Sync + 'static {
    /// The interfaces that the module must implement.
    fn interfaces() -> Vec<&'static Interface>;

    /// Makes the handle.
    fn bind(binder: &mut dyn ExportBinder) -> Self;
}

macro_rules! handle_tuples {
    ($($($name:ident)*;)*) => {$(
        // SAFETY: the tuple binds what its parts bind.
        unsafe impl<$($name: ExportsHandle),*> ExportsHandle for ($($name,)*) {
            fn interfaces() -> Vec<&'static Interface> {
                let parts: Vec<Vec<&'static Interface>> = vec![$($name::interfaces()),*];
                parts.concat()
            }

            #[allow(clippy::unused_unit, unused_variables, reason = "the empty tuple binds nothing")]
            fn bind(binder: &mut dyn ExportBinder) -> Self {
                ($($name::bind(binder),)*)
            }
        }
    )*};
}

handle_tuples! {
    ;
    A;
    A B;
    A B C;
    A B C D;
}
