//! Connecting a mapped module: it gets its imports, its heap and its host, and the host its exports.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use relib_abi::call::FunctionEntry;
use relib_abi::entry::{ExportTable, ImportTable, ModuleEntry};
use relib_interface::interface::{BoundExports, ExportBinder, ExportsHandle, Interface};

use super::options::LoadOptions;
use super::plan::{Plan, PlannedImport};
use super::redirects::Shims;
use crate::file::InterfaceDescription;
use crate::module::{Module, NamedFunction, Parts, Saving};
use crate::owned::{Early, PanicStore, Runtime};
use crate::platform::Library;

/// Why a mapped module could not be connected.
pub(super) enum Disconnected {
    EarlyMemory,
    ForeignAllocator,
    Redirecting(io::Error),
    Damaged(&'static str),
}

/// Gives a mapped module its imports, its heap and its host, and binds its exports.
///
/// # Safety
/// `plan` must have been made from the file that `parts` was loaded from, and nothing may have used the module yet.
pub(super) unsafe fn connect<E: ExportsHandle>(
    mut parts: Box<Parts>,
    plan: Plan,
    options: &LoadOptions,
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
    if !options.permanent {
        // SAFETY: the table is the module's, which is mapped; its slots are those of the verified file.
        let redirected = unsafe {
            let shims = Shims::new(&entry.redirects, options.reclaim_c_allocations);
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
    if !allocates_from(&parts.runtime, entry) {
        if !options.allow_foreign_allocator {
            return Err((parts, Disconnected::ForeignAllocator));
        }
        parts.runtime.note_foreign_allocator();
    }
    if parts.copy.is_some() {
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
        // There are several if the crate that declares the interface is linked in more than once.
        let mut found = tables.iter().filter(|table| table.interface == import.id).peekable();
        found.peek().ok_or("an import table is missing")?;
        for table in found {
            if table.len != import.functions.len() {
                return Err("an import table has another length");
            }
            // SAFETY: the table has as many slots as it says; nothing of the module reads them yet.
            unsafe { std::ptr::copy_nonoverlapping(import.functions.as_ptr(), table.slots, table.len) };
        }
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
