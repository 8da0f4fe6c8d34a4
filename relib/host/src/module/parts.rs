//! What a loaded module consists of.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::PathBuf;
use std::sync::Arc;

use relib_abi::call::FunctionEntry;
use relib_abi::entry::HostContext;

use super::reservation::Reservation;
use crate::file::InterfaceDescription;
use crate::image::ImageFile;
use crate::owned::{DescriptorPolicy, Early, PanicStore, Runtime};
use crate::platform::Library;

/// Whatever keeps the private copy of a file until it is dropped. It takes nothing from the module that it is part of: a host
/// may look at one within `catch_unwind`.
pub(crate) trait PrivateCopy: fmt::Debug + Send + Sync + UnwindSafe + RefUnwindSafe {}

impl<T: fmt::Debug + Send + Sync + UnwindSafe + RefUnwindSafe> PrivateCopy for T {}

/// Everything that belongs to a loaded module.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) path: PathBuf,
    /// Never to be unloaded; nothing of it is redirected.
    pub(crate) permanent: bool,
    pub(crate) descriptors: DescriptorPolicy,
    pub(crate) runtime: Arc<Runtime>,
    /// The module keeps the address.
    pub(crate) context: Box<HostContext>,
    pub(crate) library: Library,
    pub(crate) early: Early,
    pub(crate) image: Arc<ImageFile>,
    /// Keeps the private copy that the image was mapped from, until this is dropped; `None` if that is the file itself.
    pub(crate) copy: Option<Box<dyn PrivateCopy>>,
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

/// The functions by which a module hands its state over.
#[derive(Debug, Default)]
pub(crate) struct Saving {
    pub(crate) save: Option<NamedFunction>,
    pub(crate) restore: Option<NamedFunction>,
    pub(crate) migrate: Option<NamedFunction>,
}
