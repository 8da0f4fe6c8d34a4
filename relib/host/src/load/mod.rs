//! Loading: verify, stage, map, connect. Nothing of the module runs before the first two are done.

pub(crate) mod options;
pub(crate) mod redirects;
pub(crate) mod staging;
pub(crate) mod symbols;

use std::collections::hash_map::{Entry, HashMap};
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use relib_abi::call::FunctionEntry;
use relib_abi::entry::{ExportTable, HostContext, ImportTable, ModuleEntry};
use relib_abi::symbol;
use relib_interface::imports::ProvidedImports;
use relib_interface::interface::{BoundExports, ExportBinder, ExportsHandle, Interface};

use crate::file::description::{
    self, Build, InterfaceDescription, InterfaceProblem, ModuleDescription, Side as _,
};
use crate::file::error::{BuildPart, Holder, LoadError};
use crate::file::known::Origin;
use crate::image::{self, ImageError, ImageFile};
use crate::load::options::LoadOptions;
use crate::load::redirects::Shims;
use crate::load::staging::StagedFile;
use crate::lock::lock;
use crate::module::{Module, NamedFunction, Parts};
use crate::owned::early::Early;
use crate::owned::heap::Heap;
use crate::owned::panics::PanicStore;
use crate::owned::runtime::Runtime;
use crate::platform::{self, FileId, Library, LoaderLock, OpenedFile, Refused};
use crate::state::in_heap as state;
use crate::state::saved::Saving;

/// What a host has for the imports of a module.
#[derive(Clone, Copy)]
pub(crate) enum Imports<'a> {
    /// Functions for all of them.
    Provided(&'a [ProvidedImports]),
    /// Nothing: an import that is called panics. No value crosses between host and module, so that the two compilers may
    /// differ.
    LeftOut,
}

/// Loads the module at `path`.
///
/// # Safety
/// As for [`load_module`](crate::load_module).
pub(crate) unsafe fn load<E: ExportsHandle>(
    options: &LoadOptions,
    path: &Path,
    imports: Imports<'_>,
) -> Result<Module<E>, LoadError> {
    let verified = Copied::of(options, open(path)?)?.verify_for::<E>(imports)?;
    // SAFETY: as the caller guarantees.
    unsafe { verified.map() }
}

/// A module's file as it will be loaded: a private copy, unless the options say otherwise. It need not have been verified.
pub(crate) struct Copied {
    path: PathBuf,
    options: LoadOptions,
    file: Arc<File>,
    origin: Origin,
    reservation: Reservation,
    staged: Option<StagedFile>,
}

impl Copied {
    /// Copies a file that [`open`] has opened.
    pub(crate) fn of(options: &LoadOptions, opened: OpenedFile) -> Result<Self, LoadError> {
        let separate = options.separate_instance && !options.in_place && !options.permanent;
        let holder = if options.permanent { Holder::Permanent } else { Holder::Module };
        let reservation = if separate { Reservation(None) } else { Reservation::of(&opened, holder)? };
        let origin = Origin::of(&opened);
        let OpenedFile { path, file, .. } = opened;
        let staged = if options.in_place || options.permanent {
            None
        } else {
            let staging = |source| LoadError::Staging { path: path.clone(), source };
            let parent = options.staging_directory.as_deref();
            Some(StagedFile::copy(&file, &origin, &path, parent).map_err(staging)?)
        };
        Ok(Self { path, options: options.clone(), file, origin, reservation, staged })
    }

    /// Another file of the same contents, for reading only: with one for writing a loader may refuse the copy.
    #[cfg(feature = "reload")]
    pub(crate) fn reopen(&self) -> io::Result<File> {
        match &self.staged {
            Some(staged) => File::open(staged.path()),
            None => self.file.try_clone(),
        }
    }

    /// Verifies the file for a host that calls `E` and provides `provided`, and makes a private copy ready to be mapped.
    pub(crate) fn verify<E: ExportsHandle>(
        self,
        provided: &[ProvidedImports],
    ) -> Result<Verified<E>, LoadError> {
        self.verify_for(Imports::Provided(provided))
    }

    /// As [`verify`](Self::verify), whatever the host has for the imports.
    fn verify_for<E: ExportsHandle>(self, imports: Imports<'_>) -> Result<Verified<E>, LoadError> {
        let Self { path, options, file, mut origin, reservation, mut staged } = self;
        // A new copy is verified, whatever is known of the file: what was read may be something else.
        let mut new_copy = staged.as_mut().filter(|staged| !staged.is_sealed());
        let known = if new_copy.is_none() { origin.known_image() } else { None };
        let image = match known {
            Some(image) => Arc::clone(image),
            None => {
                let image = inspect(new_copy.as_ref().map_or(&file, |staged| staged.file()), &path)?;
                origin.remember(&file, image)
            }
        };
        let plan = plan::<E>(&image, &path, imports)?;
        if let Some(staged) = &mut new_copy {
            let staging = |source| LoadError::Staging { path: path.clone(), source };
            platform::adapt_copy(staged.file(), &image).map_err(staging)?;
            staged.seal(origin.known_state());
        }
        Ok(Verified { path, options, reservation, staged, image, plan, exports: PhantomData })
    }
}

/// A module's file that has been verified for a host that calls `E`. Nothing of it has run.
pub(crate) struct Verified<E> {
    path: PathBuf,
    options: LoadOptions,
    reservation: Reservation,
    staged: Option<StagedFile>,
    image: Arc<ImageFile>,
    plan: Plan,
    exports: PhantomData<fn() -> E>,
}

impl<E: ExportsHandle> Verified<E> {
    /// Maps the image and connects it.
    ///
    /// # Safety
    /// As for [`load_module`](crate::load_module).
    pub(crate) unsafe fn map(self) -> Result<Module<E>, LoadError> {
        let Self { path, options, reservation, staged, image, plan, .. } = self;
        let heap = Heap::new().ok_or(LoadError::OutOfMemory)?;
        let runtime = Arc::new(Runtime::new(heap));
        let context = Box::new(HostContext {
            module: Arc::as_ptr(&runtime).cast(),
            heap: if options.validate_deallocations { heap.validating_table(&path) } else { heap.table() },
            scopes: state::scope_table(),
            system: crate::owned::calls::table(),
        });
        if !options.permanent {
            symbols::settle();
        }
        let loaded_path = staged.as_ref().map_or(path.as_path(), StagedFile::path);
        // Until the module is connected.
        let lock = LoaderLock::take();
        // SAFETY: the file has been verified; running it is sound, says the caller.
        let library = match unsafe { Library::open(loaded_path, &path, &image, options.permanent) } {
            Ok(library) => library,
            Err(refused) => {
                // SAFETY: the image was not loaded, so nothing has used the heap.
                unsafe { heap.destroy() };
                return Err(match refused {
                    Refused::Loaded => LoadError::PathInUse { path },
                    Refused::Linking(source) => LoadError::Linking { path, source },
                });
            }
        };
        let parts = Box::new(Parts {
            path,
            options,
            runtime,
            context,
            library,
            early: Early::default(),
            image,
            staged,
            panics: Arc::new(PanicStore::default()),
            main: None,
            run_main: None,
            before_unload: None,
            saving: Saving::default(),
            reservation,
        });
        // SAFETY: the plan was made from the file that the library was loaded from, and nothing has used the module
        // yet.
        let connected = unsafe { connect::<E>(parts, plan) };
        lock.release();
        match connected {
            Ok(module) => Ok(module),
            Err((mut parts, detail)) => {
                let path = parts.path.clone();
                // The constructors of a private copy have not run, so its destructors must not.
                // SAFETY: the module is refused: nothing of it runs any more, but for what closing it runs.
                let skipped =
                    parts.staged.is_none() || unsafe { parts.library.skip_destructors(&parts.image) }.is_ok();
                let module = Module::new(parts, ());
                if matches!(detail, Disconnected::Redirecting(_)) || !skipped {
                    // Its imports may lead to shims that do not know the host yet, so not even destructors of the image
                    // may run: it stays.
                    drop(module);
                } else {
                    module.discard();
                }
                Err(match detail {
                    Disconnected::EarlyMemory => LoadError::EarlyMemory { path },
                    Disconnected::ForeignAllocator => LoadError::ForeignAllocator { path },
                    Disconnected::Redirecting(source) => LoadError::Redirecting { path, source },
                    Disconnected::Damaged(detail) => LoadError::Damaged {
                        path,
                        detail: format!(
                            "the module's tables do not fit its metadata: {detail}; build it again"
                        ),
                    },
                })
            }
        }
    }
}

/// Why a mapped module could not be connected.
enum Disconnected {
    EarlyMemory,
    ForeignAllocator,
    Redirecting(io::Error),
    Damaged(&'static str),
}

/// Opens a file by the path that leads to it without links; never by a search in library paths.
pub(crate) fn open(path: &Path) -> Result<OpenedFile, LoadError> {
    let failed = |source: io::Error| {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => LoadError::Missing { path, source },
            _ => LoadError::Inaccessible { path, source },
        }
    };
    let opened = platform::open_regular_file(path).map_err(failed)?;
    opened.ok_or_else(|| LoadError::NotAFile { path: path.to_owned() })
}

/// The files that are loaded, or being loaded, in a way that excludes a second time.
static LOADED: LazyLock<Mutex<HashMap<FileId, Holder>>> = LazyLock::new(Mutex::default);

/// Keeps a file from being loaded a second time; dropped when the load fails or the module is gone.
#[derive(Debug)]
pub(crate) struct Reservation(Option<Reserved>);

#[derive(Debug)]
struct Reserved {
    id: FileId,
    /// Held open where the system would give the identity of a file that is deleted to another: a new build in its place
    /// is another file.
    _file: Option<Arc<File>>,
}

impl Reservation {
    fn of(opened: &OpenedFile, holder: Holder) -> Result<Self, LoadError> {
        let inaccessible = |source| LoadError::Inaccessible { path: opened.path.clone(), source };
        let id = FileId::of(opened).map_err(inaccessible)?;
        let kept = FileId::keep(&opened.file);
        match lock(&LOADED).entry(id) {
            Entry::Occupied(entry) => {
                let path = opened.path.clone();
                return Err(LoadError::ModuleAlreadyLoaded { path, holder: *entry.get() });
            }
            Entry::Vacant(entry) => entry.insert(holder),
        };
        Ok(Self(Some(Reserved { id, _file: kept })))
    }

    /// Notes that the module was dropped, so that an error can say why the file cannot be unloaded.
    pub(crate) fn note_drop(&self) {
        if let Some(reserved) = &self.0
            && let Some(holder @ Holder::Module) = lock(&LOADED).get_mut(&reserved.id)
        {
            *holder = Holder::Dropped;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(reserved) = &self.0 {
            lock(&LOADED).remove(&reserved.id);
        }
    }
}

/// What verification found out about connecting a module, by virtual addresses.
struct Plan {
    entry: u64,
    exports: Vec<PlannedExport>,
    imports: Vec<PlannedImport>,
    main: Option<(u64, InterfaceDescription)>,
    run_main: Option<u64>,
    before_unload: Option<u64>,
    save_state: Option<(u64, InterfaceDescription)>,
    restore_state: Option<(u64, InterfaceDescription)>,
    migrate_state: Option<(u64, InterfaceDescription)>,
}

struct PlannedExport {
    name: &'static str,
    /// Where the module's [`ExportTable`] is.
    table: u64,
    /// How many functions the table has.
    len: usize,
    /// For each function of the host's interface, its index in the module's table.
    functions: Vec<usize>,
}

struct PlannedImport {
    id: u64,
    /// The host's functions in the module's order.
    functions: Vec<FunctionEntry>,
}

/// Checks the form of a file, whatever host loads it.
fn inspect(file: &File, path: &Path) -> Result<ImageFile, LoadError> {
    image::inspect_file(file, symbol::PREFIX)
        .map_err(|source| LoadError::Inaccessible { path: path.to_owned(), source })?
        .map_err(|error| image_error(path.to_owned(), error))
}

/// Checks whether a file is a module for a host that calls `E`, and how the two are connected.
fn plan<E: ExportsHandle>(image: &ImageFile, path: &Path, imports: Imports<'_>) -> Result<Plan, LoadError> {
    let damaged = |detail: &str| damaged_metadata(path, detail);
    let Some(metadata) = &image.metadata else {
        return Err(LoadError::NotAModule { path: path.to_owned() });
    };
    let asked = E::interfaces();
    let mut own = asked.clone();
    if let Imports::Provided(provided) = imports {
        own.extend(provided.iter().map(|offer| &offer.interface));
    }
    let module = ModuleDescription::parse(&metadata.bytes, &own).map_err(|error| damaged(error.0))?;
    let build = module.build.as_ref().ok_or_else(|| damaged("there is no build record"))?;
    let values_cross = matches!(imports, Imports::Provided(_));
    check_build(Build::own(), build, values_cross, path)?;

    let symbol_address = |name: &str, size: usize| {
        image
            .export(name)
            .filter(|export| export.size as usize >= size && export.vaddr.is_multiple_of(8))
            .map(|export| export.vaddr)
            .ok_or_else(|| damaged(&format!("symbol {name} is missing")))
    };
    let mismatch = |interface: &str, problem| mismatch(path, interface, problem);
    let mut exports = Vec::new();
    for &interface in &asked {
        if asked.iter().any(|other| other.name == interface.name && other.payload != interface.payload) {
            return Err(mismatch(interface.name, Box::new(InterfaceProblem::Ambiguous { side: "the host" })));
        }
        let (export, functions) =
            module.find_export(&interface).map_err(|problem| mismatch(interface.name, problem))?;
        let table = symbol_address(&export.symbol, size_of::<ExportTable>())?;
        exports.push(PlannedExport { name: interface.name, table, len: export.interface.len(), functions });
    }
    let mut filled = Vec::new();
    let (asked, provided) = match imports {
        Imports::Provided(provided) => (module.imports, provided),
        Imports::LeftOut => (Vec::new(), &[][..]),
    };
    for import in asked {
        let name = import.interface.name();
        let (index, functions) =
            description::find_import(&import.interface, provided.iter().map(|offer| &offer.interface))
                .map_err(|problem| mismatch(name, problem))?;
        let offer = &provided[index];
        let functions = functions.into_iter().map(|index| offer.functions[index]).collect();
        filled.push(PlannedImport { id: import.id, functions });
    }
    let function =
        |name, present: bool| present.then(|| symbol_address(name, size_of::<FunctionEntry>())).transpose();
    Ok(Plan {
        entry: symbol_address(symbol::ENTRY, size_of::<ModuleEntry>())?,
        exports,
        imports: filled,
        before_unload: function(symbol::BEFORE_UNLOAD, module.before_unload)?,
        run_main: function(symbol::RUN_MAIN, module.main.is_some())?,
        main: function(symbol::MAIN, module.main.is_some())?.zip(module.main),
        save_state: function(symbol::SAVE_STATE, module.save_state.is_some())?.zip(module.save_state),
        restore_state: function(symbol::RESTORE_STATE, module.restore_state.is_some())?
            .zip(module.restore_state),
        migrate_state: function(symbol::MIGRATE_STATE, module.migrate_state.is_some())?
            .zip(module.migrate_state),
    })
}

pub(crate) fn image_error(path: PathBuf, error: ImageError) -> LoadError {
    let detail = error.to_string();
    match error {
        ImageError::Empty => LoadError::Empty { path },
        ImageError::Truncated { .. } => LoadError::Truncated { path, detail },
        ImageError::UnknownFormat { .. } | ImageError::NotALibrary { .. } => {
            LoadError::NotALibrary { path, detail }
        }
        ImageError::OtherMachine { .. }
        | ImageError::OtherClass { .. }
        | ImageError::OtherByteOrder { .. } => LoadError::OtherMachine { path, detail },
        ImageError::Unsupported { .. } => LoadError::Unsupported { path, detail },
        ImageError::Malformed { .. } | ImageError::Unreadable { .. } => LoadError::Damaged { path, detail },
    }
}

pub(crate) fn damaged_metadata(path: &Path, detail: &str) -> LoadError {
    LoadError::Damaged {
        path: path.to_owned(),
        detail: format!("the module's metadata is damaged: {detail}; build it again"),
    }
}

pub(crate) fn mismatch(path: &Path, interface: &str, problem: Box<InterfaceProblem>) -> LoadError {
    LoadError::InterfaceMismatch { path: path.to_owned(), interface: interface.to_owned(), problem }
}

/// Whether a host loads a module by what built the two; the compilers must be the same if values cross.
///
/// Versions of relib must be equal, and not only those of the contract: what a call does on its way is code of
/// `relib_interface` in both images.
pub(crate) fn check_build(
    host: &Build,
    module: &Build,
    values_cross: bool,
    path: &Path,
) -> Result<(), LoadError> {
    let same_relib = host.abi_version == module.abi_version && host.relib_version == module.relib_version;
    let differs = if !same_relib {
        Some(BuildPart::Relib)
    } else if values_cross && host.rustc != module.rustc {
        Some(BuildPart::Rustc)
    } else if host.target != module.target {
        Some(BuildPart::Target)
    } else {
        None
    };
    if let Some(part) = differs {
        let describe = |build: &Build| match part {
            BuildPart::Relib => format!("relib {} (contract {})", build.relib_version, build.abi_version),
            BuildPart::Rustc => build.rustc.clone(),
            BuildPart::Target => build.target.clone(),
        };
        let (host, module) = (describe(host), describe(module));
        return Err(LoadError::BuildMismatch { path: path.to_owned(), part, host, module });
    }
    if module.panic_strategy != "unwind" {
        return Err(LoadError::PanicAbort { path: path.to_owned() });
    }
    Ok(())
}

/// Gives a mapped module its imports, its heap and its host, and binds its exports.
///
/// # Safety
/// `plan` must have been made from the file that `parts` was loaded from, and nothing may have used the module yet.
unsafe fn connect<E: ExportsHandle>(
    mut parts: Box<Parts>,
    plan: Plan,
) -> Result<Module<E>, (Box<Parts>, Disconnected)> {
    // SAFETY: the verified file has the entry table at this address, and its metadata has our contract's version, which
    // fixes the table's type.
    let entry = unsafe { &*pointer::<ModuleEntry>(&parts.library, plan.entry) };
    if entry.abi_version != relib_abi::ABI_VERSION {
        return Err((parts, Disconnected::Damaged("the entry table is of another version")));
    }
    // SAFETY: the table is the module's, and the image goes with the parts.
    parts.early = unsafe { Early::new(entry.early_memory) };
    // SAFETY: as the caller guarantees.
    if let Err(detail) = unsafe { fill_imports(&parts, &plan.imports) } {
        return Err((parts, Disconnected::Damaged(detail)));
    }
    let mut tables = HashMap::new();
    for export in &plan.exports {
        // SAFETY: the verified file has an export table at this address.
        let functions = unsafe { &(*pointer::<ExportTable>(&parts.library, export.table)).functions };
        if functions.len != export.len {
            return Err((parts, Disconnected::Damaged("an export table has another length")));
        }
        // SAFETY: the table describes a constant of the image.
        let functions = unsafe { functions.as_slice() };
        tables.insert(export.name, export.functions.iter().map(|index| functions[*index]).collect());
    }
    if !parts.options.permanent {
        // SAFETY: the table is the module's, which is mapped; its slots are those of the verified file.
        let redirected = unsafe {
            let shims = Shims::new(&entry.redirects, parts.options.reclaim_c_allocations);
            parts.library.redirect(&parts.image, shims.of(&parts.image))
        };
        if let Err(error) = redirected {
            return Err((parts, Disconnected::Redirecting(error)));
        }
    }
    // SAFETY: the context stays where it is until the image is gone, and is handed over once.
    if !unsafe { (entry.attach)(&*parts.context) } {
        return Err((parts, Disconnected::EarlyMemory));
    }
    // Before the constructors, so that nothing of the module has run if this refuses it.
    if !parts.options.allow_foreign_allocator && !allocates_from(&parts.runtime, entry) {
        return Err((parts, Disconnected::ForeignAllocator));
    }
    if parts.staged.is_some() {
        // SAFETY: the loader was kept from running the constructors of the private copy; running them is sound, says
        // the caller of the load.
        unsafe { parts.library.run_constructors(&parts.image) };
    }
    let named = |planned: Option<(u64, InterfaceDescription)>| {
        planned.map(|(vaddr, description)| NamedFunction {
            entry: function_entry(&parts.library, vaddr),
            description: Arc::new(description),
        })
    };
    let main = named(plan.main);
    let saving = Saving {
        save: named(plan.save_state),
        restore: named(plan.restore_state),
        migrate: named(plan.migrate_state),
    };
    (parts.main, parts.saving) = (main, saving);
    parts.run_main = plan.run_main.map(|vaddr| function_entry(&parts.library, vaddr));
    parts.before_unload = plan.before_unload.map(|vaddr| function_entry(&parts.library, vaddr));
    let exports = E::bind(&mut Binder { tables, panics: &parts.panics });
    Ok(Module::new(parts, exports))
}

/// Writes the host's functions into the module's slots.
///
/// # Safety
/// As for [`connect`].
unsafe fn fill_imports(parts: &Parts, imports: &[PlannedImport]) -> Result<(), &'static str> {
    let section = |section: &Range<u64>| {
        let len = (section.end - section.start) as usize / size_of::<ImportTable>();
        // SAFETY: the section consists of these tables only, and the loader has relocated it.
        unsafe { std::slice::from_raw_parts(pointer::<ImportTable>(&parts.library, section.start), len) }
    };
    let tables: Vec<&ImportTable> = parts.image.import_tables.iter().flat_map(section).collect();
    for import in imports {
        let table =
            tables.iter().find(|table| table.interface == import.id).ok_or("an import table is missing")?;
        if table.len != import.functions.len() {
            return Err("an import table has another length");
        }
        // SAFETY: the table has as many slots as it says; nothing of the module reads them yet.
        unsafe { std::ptr::copy_nonoverlapping(import.functions.as_ptr(), table.slots, table.len) };
    }
    Ok(())
}

/// Whether the module's global allocator takes its memory from the module's heap.
fn allocates_from(runtime: &Runtime, entry: &ModuleEntry) -> bool {
    struct Probe<'a> {
        runtime: &'a Runtime,
        owned: bool,
    }

    unsafe extern "C" fn visit(probe: *mut (), block: *const u8) {
        // SAFETY: the module passes on the pointer that it was given below.
        let probe = unsafe { &mut *probe.cast::<Probe<'_>>() };
        probe.owned = probe.runtime.heap.owns(block.cast());
    }

    let mut probe = Probe { runtime, owned: false };
    // SAFETY: the callback fits its context, which outlives the call.
    unsafe { (entry.probe_allocator)((&raw mut probe).cast(), visit) };
    probe.owned
}

/// A pointer to what the file has at a virtual address.
fn pointer<T>(library: &Library, vaddr: u64) -> *const T {
    std::ptr::with_exposed_provenance(library.address(vaddr))
}

/// The function entry at a virtual address that verification has found to be one.
fn function_entry(library: &Library, vaddr: u64) -> FunctionEntry {
    // SAFETY: the symbol is that of a `FunctionEntry`, by its name and the version of the contract.
    unsafe { *pointer::<FunctionEntry>(library, vaddr) }
}

/// Makes the handles of a module's interfaces.
struct Binder<'a> {
    /// For each interface by name, the module's functions in the host's order.
    tables: HashMap<&'static str, Box<[FunctionEntry]>>,
    panics: &'a Arc<PanicStore>,
}

impl ExportBinder for Binder<'_> {
    fn bind(&mut self, interface: &'static Interface) -> BoundExports {
        let functions =
            self.tables.get(interface.name).expect("a handle binds the interfaces that it has asked for");
        // SAFETY: the functions were picked by comparing fingerprints; the module drops its handles with its image.
        unsafe { BoundExports::new(functions.clone(), Arc::clone(self.panics) as _) }
    }
}
