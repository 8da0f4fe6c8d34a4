//! Loading: verify, stage, map, connect. Nothing of the module runs before the first two are done.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use object::read::ReadCache;
use relib_abi::call::FunctionEntry;
use relib_abi::entry::{ExportTable, HostContext, ImportTable, ModuleEntry, RedirectGroup};
use relib_abi::symbol;
use relib_interface::imports::ProvidedImports;
use relib_interface::interface::{BoundExports, ExportBinder, ExportsHandle, Interface};

use crate::description::{self, Build, InterfaceDescription, InterfaceProblem, ModuleDescription};
use crate::error::{BuildPart, LoadError};
use crate::heap::Heap;
use crate::image::{self, ImageError, ImageFile};
use crate::imp::{self, FileId, Library};
use crate::module::{Main, Module, Parts};
use crate::options::LoadOptions;
use crate::panics::PanicStore;
use crate::runtime::{Runtime, lock};
use crate::staging::StagedFile;

/// Loads the module at `path`.
///
/// # Safety
/// As for [`load_module`](crate::load_module).
pub(crate) unsafe fn load<E: ExportsHandle>(
    options: &LoadOptions,
    path: &Path,
    provided: Vec<ProvidedImports>,
) -> Result<Module<E>, LoadError> {
    let (path, file) = open(path)?;
    let inaccessible = |source| LoadError::Inaccessible { path: path.clone(), source };
    let id = FileId::of(&file).map_err(inaccessible)?;
    let separate = options.separate_instance && !options.in_place && !options.permanent;
    let reservation = Reservation::of(id, separate, &path)?;

    let staged = if options.in_place || options.permanent {
        None
    } else {
        let staging = |source| LoadError::Staging { path: path.clone(), source };
        Some(StagedFile::copy(&file, &path, options.staging_directory.as_deref()).map_err(staging)?)
    };
    // A private copy is what was read; without one the file itself has to be.
    let verified_file = staged.as_ref().map_or(&file, StagedFile::file);
    let (image, plan) = verify::<E>(verified_file, &path, &provided)?;
    if let Some(staged) = &staged {
        make_unloadable(staged.file(), &image).map_err(inaccessible)?;
    }

    let heap = Heap::new().ok_or(LoadError::OutOfMemory)?;
    let runtime = Arc::new(Runtime::new(heap));
    let context = Box::new(HostContext {
        module: Arc::as_ptr(&runtime).cast(),
        heap: if options.validate_deallocations { heap.validating_table(&path) } else { heap.table() },
        system: imp::system_table(),
    });
    let loaded_path = staged.as_ref().map_or(path.as_path(), StagedFile::path);
    if staged.is_none() && imp::is_open(loaded_path) {
        // SAFETY: the image was not loaded, so nothing has used the heap.
        unsafe { heap.destroy() };
        return Err(LoadError::PathInUse { path });
    }
    // SAFETY: the file has been verified; running it is sound, says the caller.
    let library = match unsafe { Library::open(loaded_path, options.permanent) } {
        Ok(library) => library,
        Err(source) => {
            // SAFETY: the image was not loaded, so nothing has used the heap.
            unsafe { heap.destroy() };
            return Err(LoadError::Linking { path, source });
        }
    };
    let panics = Arc::new(PanicStore::default());
    // SAFETY: the plan was made from the file that the library was loaded from.
    let exports = unsafe {
        connect(&library, &image, &plan, options, &context);
        E::bind(&mut Binder { library: &library, plan: &plan, panics: &panics })
    };
    let main =
        plan.main.map(|(vaddr, description)| Main { entry: function_entry(&library, vaddr), description });
    let before_unload = plan.before_unload.map(|vaddr| function_entry(&library, vaddr));
    let parts = Parts {
        path,
        options: options.clone(),
        runtime,
        context,
        library,
        image,
        staged,
        panics,
        main,
        before_unload,
        reservation,
    };
    let module = Module::new(parts, exports);
    if !options.allow_foreign_allocator && !module.allocates_from_its_heap(plan.entry) {
        let path = module.path().to_owned();
        module.discard();
        return Err(LoadError::ForeignAllocator { path });
    }
    Ok(module)
}

/// Opens a file by the path that leads to it without links; never by a search in library paths.
fn open(path: &Path) -> Result<(PathBuf, File), LoadError> {
    let failed = |source: io::Error| {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => LoadError::Missing { path, source },
            _ => LoadError::Inaccessible { path, source },
        }
    };
    let canonical = path.canonicalize().map_err(failed)?;
    if !canonical.metadata().map_err(failed)?.is_file() {
        return Err(LoadError::NotAFile { path: path.to_owned() });
    }
    let file = File::open(&canonical).map_err(failed)?;
    Ok((canonical, file))
}

/// The files that are loaded, or being loaded, in a way that excludes a second time.
static LOADED: LazyLock<Mutex<HashSet<FileId>>> = LazyLock::new(Mutex::default);

/// Keeps a file from being loaded a second time; dropped when the load fails or the module is gone.
#[derive(Debug)]
pub(crate) struct Reservation(Option<FileId>);

impl Reservation {
    fn of(id: FileId, separate: bool, path: &Path) -> Result<Self, LoadError> {
        if separate {
            return Ok(Self(None));
        }
        if !lock(&LOADED).insert(id) {
            return Err(LoadError::ModuleAlreadyLoaded { path: path.to_owned() });
        }
        Ok(Self(Some(id)))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            lock(&LOADED).remove(&id);
        }
    }
}

/// What verification found out about connecting a module, by virtual addresses.
struct Plan {
    entry: u64,
    exports: Vec<PlannedExport>,
    imports: Vec<PlannedImport>,
    main: Option<(u64, InterfaceDescription)>,
    before_unload: Option<u64>,
}

struct PlannedExport {
    name: &'static str,
    /// Where the module's [`ExportTable`] is.
    table: u64,
    /// For each function of the host's interface, its index in the module's table.
    functions: Vec<usize>,
}

struct PlannedImport {
    id: u64,
    /// The host's functions in the module's order.
    functions: Vec<FunctionEntry>,
}

/// Checks everything that can be checked without running the file.
fn verify<E: ExportsHandle>(
    file: &File,
    path: &Path,
    provided: &[ProvidedImports],
) -> Result<(ImageFile, Plan), LoadError> {
    let inaccessible = |source| LoadError::Inaccessible { path: path.to_owned(), source };
    let len = file.metadata().map_err(inaccessible)?.len();
    let file = file.try_clone().map_err(inaccessible)?;
    let image = image::inspect(&ReadCache::new(file), len, symbol::PREFIX)
        .map_err(|error| image_error(path.to_owned(), error))?;
    let damaged = |detail: &str| LoadError::Damaged {
        path: path.to_owned(),
        detail: format!("the module's metadata is damaged: {detail}; build it again"),
    };
    let Some(metadata) = &image.metadata else {
        return Err(LoadError::NotAModule { path: path.to_owned() });
    };
    let module = ModuleDescription::parse(&metadata.bytes).map_err(|error| damaged(error.0))?;
    check_build(module.build.as_ref().ok_or_else(|| damaged("there is no build record"))?, path)?;

    let symbol_address = |name: &str, size: usize| {
        image
            .export(name)
            .filter(|export| export.size as usize >= size && export.vaddr.is_multiple_of(8))
            .map(|export| export.vaddr)
            .ok_or_else(|| damaged(&format!("symbol {name} is missing")))
    };
    let mismatch = |interface: &str, problem| LoadError::InterfaceMismatch {
        path: path.to_owned(),
        interface: interface.to_owned(),
        problem: Box::new(problem),
    };
    let mut exports = Vec::new();
    for interface in E::interfaces() {
        let Some(export) = module.exports.iter().find(|export| export.interface.name == interface.name)
        else {
            let has = module.exports.iter().map(|export| format!("`{}`", export.interface.name)).collect();
            return Err(mismatch(
                interface.name,
                InterfaceProblem::MissingInterface { implementor: "the module", has },
            ));
        };
        let functions = description::match_exports(interface, &export.interface)
            .map_err(|problem| mismatch(interface.name, problem))?;
        let table = symbol_address(&export.symbol, size_of::<ExportTable>())?;
        exports.push(PlannedExport { name: interface.name, table, functions });
    }
    let mut imports = Vec::new();
    for import in module.imports {
        let name = &import.interface.name;
        let Some(offer) = provided.iter().find(|offer| offer.interface.name == name) else {
            let has = provided.iter().map(|offer| format!("`{}`", offer.interface.name)).collect();
            return Err(mismatch(name, InterfaceProblem::MissingInterface { implementor: "the host", has }));
        };
        let functions = description::match_imports(offer.interface, &import.interface)
            .map_err(|problem| mismatch(name, problem))?;
        let functions = functions.into_iter().map(|index| offer.functions[index]).collect();
        imports.push(PlannedImport { id: import.id, functions });
    }
    let function =
        |name, present: bool| present.then(|| symbol_address(name, size_of::<FunctionEntry>())).transpose();
    let plan = Plan {
        entry: symbol_address(symbol::ENTRY, size_of::<ModuleEntry>())?,
        exports,
        imports,
        before_unload: function(symbol::BEFORE_UNLOAD, module.before_unload)?,
        main: function(symbol::MAIN, module.main.is_some())?.zip(module.main),
    };
    Ok((image, plan))
}

fn image_error(path: PathBuf, error: ImageError) -> LoadError {
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

fn check_build(build: &Build, path: &Path) -> Result<(), LoadError> {
    let describe = |version: &str, abi: u32| format!("relib {version} (contract {abi})");
    let relib = (
        BuildPart::Relib,
        describe(relib_abi::RELIB_VERSION, relib_abi::ABI_VERSION),
        describe(&build.relib_version, build.abi_version),
        relib_abi::ABI_VERSION == build.abi_version,
    );
    let rustc = (
        BuildPart::Rustc,
        relib_abi::RUSTC_VERSION.to_owned(),
        build.rustc.clone(),
        relib_abi::RUSTC_VERSION == build.rustc,
    );
    let target = (
        BuildPart::Target,
        relib_abi::TARGET.to_owned(),
        build.target.clone(),
        relib_abi::TARGET == build.target,
    );
    for (part, host, module, equal) in [relib, rustc, target] {
        if !equal {
            return Err(LoadError::BuildMismatch { path: path.to_owned(), part, host, module });
        }
    }
    if build.panic_strategy != "unwind" {
        return Err(LoadError::PanicAbort { path: path.to_owned() });
    }
    Ok(())
}

/// Changes the private copy so that the dynamic loader is willing to unmap it again.
///
/// glibc never unmaps a library with `DF_1_NODELETE`, nor one that defines a symbol with `STB_GNU_UNIQUE` binding which
/// somebody was bound to. The first is cleared; the latter become ordinary global symbols, which only means that the
/// module uses its own definition instead of one that another library may have brought before it.
fn make_unloadable(copy: &File, image: &ImageFile) -> io::Result<()> {
    use std::os::unix::fs::FileExt;

    const STB_GLOBAL: u8 = 1;

    if let Some(flags) = image.flags_1.filter(|flags| flags.nodelete()) {
        copy.write_all_at(&flags.without_nodelete().to_le_bytes(), flags.file_offset)?;
    }
    for symbol in &image.unique_symbols {
        let mut info = [0];
        copy.read_exact_at(&mut info, symbol.st_info_offset)?;
        copy.write_all_at(&[STB_GLOBAL << 4 | info[0] & 0xf], symbol.st_info_offset)?;
    }
    Ok(())
}

/// Gives a mapped module its imports, its heap and its host.
///
/// # Safety
/// `image` and `plan` must describe the file that `library` was loaded from, and the module must not have been used
/// yet. `context` must stay in place until the image is gone.
unsafe fn connect(
    library: &Library,
    image: &ImageFile,
    plan: &Plan,
    options: &LoadOptions,
    context: &HostContext,
) {
    // SAFETY: the verified file has the entry table at this address, and its metadata has our contract's version, which
    // fixes the table's type.
    let entry = unsafe { &*pointer::<ModuleEntry>(library, plan.entry) };
    if let Some(section) = &image.import_tables {
        let len = (section.end - section.start) as usize / size_of::<ImportTable>();
        // SAFETY: the section consists of these tables only; the loader has relocated it.
        let tables =
            unsafe { std::slice::from_raw_parts(pointer::<ImportTable>(library, section.start), len) };
        let planned: HashMap<u64, &PlannedImport> =
            plan.imports.iter().map(|import| (import.id, import)).collect();
        for table in tables {
            if let Some(import) =
                planned.get(&table.interface).filter(|import| import.functions.len() == table.len)
            {
                // SAFETY: the module's slots have room for as many functions as its metadata describes.
                unsafe {
                    std::ptr::copy_nonoverlapping(
                        import.functions.as_ptr(),
                        table.slots,
                        import.functions.len(),
                    );
                }
            }
        }
    }
    // SAFETY: the module's table is constant, and nothing of the module runs before it is attached.
    unsafe {
        if !options.permanent {
            let groups = |group| match group {
                RedirectGroup::Always => true,
                RedirectGroup::CAllocations => options.reclaim_c_allocations,
            };
            let redirects = entry.redirects.as_slice().iter().filter(|redirect| groups(redirect.group));
            library.redirect(image, redirects);
        }
        (entry.attach)(context);
    }
}

/// A pointer to what the file has at a virtual address.
pub(crate) fn pointer<T>(library: &Library, vaddr: u64) -> *const T {
    std::ptr::with_exposed_provenance(library.address(vaddr))
}

/// The function entry at a virtual address that verification has found to be one.
fn function_entry(library: &Library, vaddr: u64) -> FunctionEntry {
    // SAFETY: the symbol is that of a `FunctionEntry`, by its name and the version of the contract.
    unsafe { *pointer::<FunctionEntry>(library, vaddr) }
}

/// Makes the handles of a module's interfaces.
struct Binder<'a> {
    library: &'a Library,
    plan: &'a Plan,
    panics: &'a Arc<PanicStore>,
}

impl ExportBinder for Binder<'_> {
    fn bind(&mut self, interface: &'static Interface) -> BoundExports {
        let export = self
            .plan
            .exports
            .iter()
            .find(|export| export.name == interface.name)
            .expect("a handle binds the interfaces that it has asked for");
        // SAFETY: the verified file has an export table at this address.
        let table = unsafe { (*pointer::<ExportTable>(self.library, export.table)).functions.as_slice() };
        let functions = export.functions.iter().map(|index| table[*index]).collect();
        // SAFETY: the functions were picked by comparing fingerprints; the module drops its handles before its image.
        unsafe { BoundExports::new(functions, Arc::clone(self.panics) as _) }
    }
}
