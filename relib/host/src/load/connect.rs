//! Connecting a mapped module: it gets its imports, its heap and its host, and the host its exports.

use std::collections::HashMap;
use std::io;
use std::mem::offset_of;
use std::ops::Range;
use std::sync::Arc;

use relib_abi::call::{FunctionEntry, RawSlice};
use relib_abi::entry::{ExportTable, ImportTable, ModuleEntry, Redirects};
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
    if let Err(detail) = check_tables(&parts, &plan) {
        return Err((parts, Disconnected::Damaged(detail)));
    }
    // SAFETY: the verified file has the entry table at this address, and its metadata has our contract's version, which
    // fixes the table's type; its pointers lead into the image, as was just checked.
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

/// Makes sure that the pointers in the module's own tables lead to where such tables have theirs: a word that the loader has
/// not relocated, or to somewhere else, would be called by the host, or taken for a slice.
fn check_tables(parts: &Parts, plan: &Plan) -> Result<(), &'static str> {
    const REDIRECTS: usize = offset_of!(ModuleEntry, redirects);
    let of_function = |vaddr: u64| {
        let place = |offset: usize| vaddr + offset as u64;
        leads_to_code(parts, place(offset_of!(FunctionEntry, call)), false)?;
        leads_to_code(parts, place(offset_of!(FunctionEntry, release)), true)
    };
    let place = |offset: usize| plan.entry + offset as u64;
    leads_to_code(parts, place(offset_of!(ModuleEntry, attach)), false)?;
    leads_to_code(parts, place(offset_of!(ModuleEntry, probe_allocator)), false)?;
    leads_into_image(parts, place(offset_of!(ModuleEntry, early_memory)), size_of::<usize>())?;
    slice(parts, place(REDIRECTS + offset_of!(Redirects, names)), 1)?;
    let (_, shims) = slice(parts, place(REDIRECTS + offset_of!(Redirects, shims)), size_of::<usize>())?;
    leads_into_image(parts, place(REDIRECTS + offset_of!(Redirects, originals)), shims * size_of::<usize>())?;
    for export in &plan.exports {
        let functions = export.table + offset_of!(ExportTable, functions) as u64;
        let (first, len) = slice(parts, functions, size_of::<FunctionEntry>())?;
        for index in 0..len {
            of_function(first + (index * size_of::<FunctionEntry>()) as u64)?;
        }
    }
    let described = [&plan.main, &plan.save_state, &plan.restore_state, &plan.migrate_state];
    let described = described.into_iter().flatten().map(|(vaddr, _)| *vaddr);
    described.chain(plan.run_main).chain(plan.before_unload).try_for_each(of_function)?;
    for table in
        parts.image.import_tables.iter().flat_map(|section| section.clone().step_by(size_of::<ImportTable>()))
    {
        let len = word(parts, table + offset_of!(ImportTable, len) as u64);
        let bytes = len.checked_mul(size_of::<FunctionEntry>()).ok_or(ELSEWHERE)?;
        leads_into_image(parts, table + offset_of!(ImportTable, slots) as u64, bytes)?;
    }
    Ok(())
}

const ELSEWHERE: &str = "a pointer leads out of the image";

/// What stands at a virtual address.
fn word(parts: &Parts, vaddr: u64) -> usize {
    // SAFETY: verification found a table at this address, which this is a word of; all are aligned.
    unsafe { *pointer::<usize>(&parts.library, vaddr) }
}

/// Checks that the pointer at `vaddr` leads to `len` bytes of the image; returns their virtual address.
fn leads_into_image(parts: &Parts, vaddr: u64, len: usize) -> Result<u64, &'static str> {
    let target = word(parts, vaddr);
    let image = parts.library.span(&parts.image);
    let end = target.checked_add(len).ok_or(ELSEWHERE)?;
    if target < image.start || end > image.end {
        return Err(ELSEWHERE);
    }
    Ok(parts.image.span.start + (target - image.start) as u64)
}

/// Checks that the slice at `vaddr` lies in the image; returns its virtual address and its length.
fn slice(parts: &Parts, vaddr: u64, size: usize) -> Result<(u64, usize), &'static str> {
    const DATA: usize = offset_of!(RawSlice<u8>, data);
    const LEN: usize = offset_of!(RawSlice<u8>, len);
    let len = word(parts, vaddr + LEN as u64);
    if len == 0 {
        // The pointer of an empty one leads nowhere.
        return Ok((parts.image.span.start, 0));
    }
    let bytes = len.checked_mul(size).ok_or(ELSEWHERE)?;
    Ok((leads_into_image(parts, vaddr + DATA as u64, bytes)?, len))
}

/// Checks that the pointer at `vaddr` leads to code of the image, or, where there may be none, is null.
fn leads_to_code(parts: &Parts, vaddr: u64, may_be_null: bool) -> Result<(), &'static str> {
    if may_be_null && word(parts, vaddr) == 0 {
        return Ok(());
    }
    let target = leads_into_image(parts, vaddr, 1)?;
    if parts.image.code.contains(&target) { Ok(()) } else { Err("a function is no code") }
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
