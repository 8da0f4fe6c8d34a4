//! How a module is loaded.

use std::path::{Path, PathBuf};

use crate::owned::DescriptorPolicy;

/// How a module is loaded and unloaded; the defaults are those of [`load_module`](crate::load_module).
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use relib::LoadOptions;
///
/// // SAFETY: the module is our own.
/// let module = unsafe { LoadOptions::new().separate_instance(true).load::<()>("target/debug/libmodule.so", ())? };
/// # module.unload()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    pub(crate) in_place: bool,
    pub(crate) staging_directory: Option<PathBuf>,
    pub(crate) separate_instance: bool,
    pub(crate) permanent: bool,
    pub(crate) descriptors: DescriptorPolicy,
    pub(crate) validate_deallocations: bool,
    pub(crate) reclaim_c_allocations: bool,
    pub(crate) allow_foreign_allocator: bool,
}

impl LoadOptions {
    /// The defaults: a private copy is loaded, once for each file, to be unloaded some time.
    pub fn new() -> Self {
        Self::default()
    }

    /// Loads the file itself instead of a private copy: faster, but the file must not be changed while it is loaded,
    /// and a library that asks not to be unloaded stays. Windows refuses to write to the file, to replace it or to delete
    /// it until then; it may be renamed, and another put in its place.
    ///
    /// Its constructors run before relib has connected it. They cannot call imports, nor may threads that they start and
    /// leave running; what they start or register is not known to relib; and if they keep more than 256 KiB of memory,
    /// the load fails by [`LoadError::EarlyMemory`](crate::LoadError::EarlyMemory).
    pub fn in_place(mut self, in_place: bool) -> Self {
        self.in_place = in_place;
        self
    }

    /// Keeps private copies under `directory` instead of the system's directory for temporary files. It must be on a
    /// file system that code may be executed from; one that can share blocks makes copies quickest.
    ///
    /// Has no effect on a load [in place](Self::in_place) or [permanently](Self::permanent), which make no copy.
    pub fn staging_directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.staging_directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Loads the file even if it is loaded already; the instances have separate statics and separate heaps.
    ///
    /// This needs a private copy: a load [in place](Self::in_place) or [permanently](Self::permanent) is refused if the
    /// file is loaded already, whatever is asked for here.
    pub fn separate_instance(mut self, separate: bool) -> Self {
        self.separate_instance = separate;
        self
    }

    /// The mode for production without reloading: the checks, the interfaces and the panic handling as always, but
    /// neither copy nor redirection. Such a module cannot be unloaded.
    ///
    /// Without redirection nothing is known of what the module takes from the system:
    /// [`Module::descriptors`](crate::Module::descriptors) and [`Module::mappings`](crate::Module::mappings) are empty,
    /// and [`descriptors`](Self::descriptors) and [`reclaim_c_allocations`](Self::reclaim_c_allocations) have no effect.
    pub fn permanent(mut self) -> Self {
        self.permanent = true;
        self
    }

    /// What an unload does about descriptors that the module opened and did not close.
    pub fn descriptors(mut self, policy: DescriptorPolicy) -> Self {
        self.descriptors = policy;
        self
    }

    /// Checks each deallocation of the module: freeing a block that is not of the module's heap stops the process with
    /// a message that names the module.
    pub fn validate_deallocations(mut self, validate: bool) -> Self {
        self.validate_deallocations = validate;
        self
    }

    /// Sends `malloc` and its relatives, as the module's own image imports them, to the module's heap, so that leaks of
    /// C code linked into the module are reclaimed too.
    ///
    /// Off by default, because such a block must not be handed to a function of the C library that resizes or frees it,
    /// such as `getline`.
    pub fn reclaim_c_allocations(mut self, reclaim: bool) -> Self {
        self.reclaim_c_allocations = reclaim;
        self
    }

    /// Loads a module whose global allocator takes its memory from somewhere else than relib; an unload leaks what the
    /// module has not freed. Such a module cannot change a [`State`](crate::State): it panics when it tries to.
    pub fn allow_foreign_allocator(mut self, allow: bool) -> Self {
        self.allow_foreign_allocator = allow;
        self
    }
}
