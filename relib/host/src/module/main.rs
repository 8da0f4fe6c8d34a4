//! Calling a module's `main`.

use std::error::Error;
use std::fmt;

use relib_interface::Transfer;
use relib_interface::crossing::Return;
use relib_interface::interface::ExportsHandle;

use super::Module;
use crate::file::OtherType;

impl<E: ExportsHandle> Module<E> {
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
        let main = self.parts.main.as_ref().ok_or(match self.parts.run_main {
            Some(_) => CallMainError::OtherCompiler,
            None => CallMainError::Missing,
        })?;
        main.description.refuse_other_type(<R as Return>::TYPE).map_err(
            |OtherType { asked, returns, difference }| CallMainError::OtherType {
                asked,
                returns,
                difference,
            },
        )?;
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
}

/// Why a module's `main` gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallMainError {
    /// The module exports no `main`.
    Missing,
    /// The module comes from another compiler than the host, which only a load
    /// [without its imports](crate::LoadOptions::load_unconnected) allows: no value crosses. `main` was not called; it can be,
    /// by [`Module::run_main`].
    OtherCompiler,
    /// `main` returns another type than the host asked for; it was not called.
    OtherType {
        /// The type that the host asked for.
        asked: String,
        /// The type that `main` returns.
        returns: String,
        /// The first difference inside the types, if their names read alike.
        difference: Option<String>,
    },
    /// `main` panicked; see [`Module::last_panic`](crate::Module::last_panic).
    Panicked,
}

impl fmt::Display for CallMainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "the module exports no `main`; mark it with #[relib_module::export]"),
            Self::OtherCompiler => write!(
                f,
                "the module comes from another compiler than the host, so that nothing that its `main` returns may cross; \
                 call it by Module::run_main, or build both with the same compiler"
            ),
            Self::OtherType { asked, returns, difference: None } => {
                write!(f, "the module's `main` returns `{returns}`, not `{asked}`; ask for what it returns")
            }
            Self::OtherType { asked, difference: Some(difference), .. } => {
                write!(
                    f,
                    "the module's `main` returns another `{asked}` than the host's: {difference}; build both from \
                     the same source"
                )
            }
            Self::Panicked => write!(f, "the module's `main` panicked; Module::last_panic has the message"),
        }
    }
}

impl Error for CallMainError {}
