//! Imports: functions of the host that a module calls.
//!
//! A trait marked `#[interface(imports)]` has one [`ImportSlots`] in each image. The module's is filled by the host
//! when the image has been mapped; the host's stays empty. Constructors of an image that is loaded in place run before
//! that: an import that they call panics, as in a program without a host. It reaches its own metadata, so that a module which
//! never calls an import interface does not ask for it: the linker drops the functions, the slots and the metadata
//! together.

use std::cell::UnsafeCell;

use relib_abi::call::{FunctionEntry, Outcome};
use relib_abi::entry::ImportTable;

use crate::crossing::Return;
use crate::interface::{Interface, receive};

/// The functions of one import interface, as the module calls them.
#[repr(C)]
pub struct ImportSlots<const N: usize> {
    functions: UnsafeCell<[FunctionEntry; N]>,
    /// The record in the module's metadata that makes the host fill the slots.
    record: &'static [u8],
    table: &'static ImportTable,
}

// SAFETY: the slots are written once, by the host, before it calls or attaches the module. Only a thread that a constructor
// has started in an image that is loaded in place could read them meanwhile; that constructors start none that calls
// imports is what the user of `LoadOptions::in_place` guarantees.
unsafe impl<const N: usize> Sync for ImportSlots<N> {}

impl<const N: usize> ImportSlots<N> {
    /// Empty slots. `record` and `table` are the statics that the host finds them by.
    pub const fn new(record: &'static [u8], table: &'static ImportTable) -> Self {
        Self { functions: UnsafeCell::new([FunctionEntry::EMPTY; N]), record, table }
    }

    /// Where the host writes the functions.
    pub const fn as_ptr(&self) -> *mut FunctionEntry {
        self.functions.get().cast()
    }

    /// Function `index`, which must be below `N`; the two names are its own.
    ///
    /// # Panics
    /// If the image was not loaded by a relib host, or by one that has left the imports out.
    #[track_caller]
    #[inline]
    pub fn function(&self, index: usize, interface: &str, function: &str) -> FunctionEntry {
        assert!(index < N, "an import interface has no function {index}");
        // SAFETY: the index is in range, and the host's write is over or has not begun, see `Sync` above. The read is
        // volatile because that write is invisible to the compiler.
        let entry = unsafe { self.as_ptr().add(index).read_volatile() };
        if entry.call.is_null() {
            self.not_connected(interface, function);
        }
        entry
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    fn not_connected(&self, interface: &str, function: &str) -> ! {
        // The two are what a host finds the slots by; read here, they stay in the image with the functions.
        let (functions, bytes) = (self.table.len, self.record.len());
        panic!(
            "import `{interface}::{function}` is not connected: the module was loaded without a host that provides it \
             (an interface of {functions} functions, {bytes} bytes of metadata)"
        )
    }
}

/// Makes the result of an import of what the host's thunk returned; a panic of the host's becomes one of the module's.
///
/// # Safety
/// `outcome` must just have been returned by `entry.call`, whose return type is `R`.
#[doc(hidden)]
#[track_caller]
#[inline]
pub unsafe fn call_import<R: Return>(
    interface: &str,
    function: &str,
    entry: FunctionEntry,
    outcome: Outcome<R::Wire>,
) -> R {
    // SAFETY: as the caller guarantees; the host's image is never unloaded while a module of its is loaded.
    match unsafe { receive::<R>(outcome, entry.release) } {
        Ok(value) => value,
        Err(report) => {
            panic!("import `{interface}::{function}` panicked in the host: {}", report.message())
        }
    }
}

/// An import interface together with the host's functions for it.
#[derive(Clone, Copy, Debug)]
pub struct ProvidedImports {
    /// The interface as the host knows it.
    pub interface: &'static Interface,
    /// The thunks in the order of the interface.
    pub functions: &'static [FunctionEntry],
}

/// A set of import interfaces that a host provides: a type marked `#[relib::implement]`, a tuple of them, or `()`.
///
/// # Safety
/// `functions[i]` of each part must be the thunks for function `i` of its interface, in an image that is never unloaded
/// before the module.
#[diagnostic::on_unimplemented(
    message = "`{Self}` provides no imports",
    note = "mark the implementation of the import interface with `#[relib::implement]`, or pass `()` for no imports"
)]
pub unsafe trait ProvideImports {
    /// The interfaces with their functions.
    fn provided(&self) -> Vec<ProvidedImports>;
}

macro_rules! provide_tuples {
    ($($($name:ident)*;)*) => {$(
        // SAFETY: the tuple provides what its parts provide.
        unsafe impl<$($name: ProvideImports),*> ProvideImports for ($($name,)*) {
            #[allow(non_snake_case, reason = "the parts are named after their types")]
            fn provided(&self) -> Vec<ProvidedImports> {
                let ($($name,)*) = self;
                let parts: Vec<Vec<ProvidedImports>> = vec![$($name.provided()),*];
                parts.concat()
            }
        }
    )*};
}

provide_tuples! {
    ;
    A;
    A B;
    A B C;
    A B C D;
}
