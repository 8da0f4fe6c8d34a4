//! What verification finds out about connecting a module: whether it fits the host, and what leads where.

use std::path::Path;

use relib_abi::call::FunctionEntry;
use relib_abi::entry::{ExportTable, ModuleEntry};
use relib_abi::symbol;
use relib_interface::imports::ProvidedImports;
use relib_interface::interface::ExportsHandle;

use crate::file::{
    Build, InterfaceDescription, InterfaceProblem, LoadError, ModuleDescription, Side as _, check_build,
    find_import,
};
use crate::image::ImageFile;

/// What a host has for the imports of a module.
#[derive(Clone, Copy)]
pub(crate) enum Imports<'a> {
    /// Functions for all of them.
    Provided(&'a [ProvidedImports]),
    /// Nothing: an import that is called panics. No value crosses between host and module, so that the two compilers may
    /// differ.
    LeftOut,
}

/// What verification found out about connecting a module, by virtual addresses.
pub(super) struct Plan {
    pub(super) entry: u64,
    pub(super) exports: Vec<PlannedExport>,
    pub(super) imports: Vec<PlannedImport>,
    pub(super) main: Option<(u64, InterfaceDescription)>,
    pub(super) run_main: Option<u64>,
    pub(super) before_unload: Option<u64>,
    pub(super) save_state: Option<(u64, InterfaceDescription)>,
    pub(super) restore_state: Option<(u64, InterfaceDescription)>,
    pub(super) migrate_state: Option<(u64, InterfaceDescription)>,
}

pub(super) struct PlannedExport {
    pub(super) name: &'static str,
    /// Where the module's [`ExportTable`] is.
    pub(super) table: u64,
    /// How many functions the table has.
    pub(super) len: usize,
    /// For each function of the host's interface, its index in the module's table.
    pub(super) functions: Vec<usize>,
}

pub(super) struct PlannedImport {
    pub(super) id: u64,
    /// The host's functions in the module's order.
    pub(super) functions: Vec<FunctionEntry>,
}

/// Checks whether a file is a module for a host that calls `E`, and how the two are connected.
pub(super) fn plan<E: ExportsHandle>(
    image: &ImageFile,
    path: &Path,
    imports: Imports<'_>,
) -> Result<Plan, LoadError> {
    let damaged = |detail: &str| LoadError::damaged_metadata(path, detail);
    let Some(metadata) = &image.metadata else {
        return Err(LoadError::NotAModule { path: path.to_owned() });
    };
    let asked = E::interfaces();
    let mut own = asked.clone();
    if let Imports::Provided(provided) = imports {
        own.extend(provided.iter().map(|offer| &offer.interface));
    }
    let module = ModuleDescription::parse(metadata, &own).map_err(|error| damaged(error.0))?;
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
    let mismatch = |interface: &str, problem| LoadError::mismatch(path, interface, problem);
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
            find_import(&import.interface, provided.iter().map(|offer| &offer.interface))
                .map_err(|problem| mismatch(name, problem))?;
        let offer = &provided[index];
        let functions = functions.into_iter().map(|index| offer.functions[index]).collect();
        filled.push(PlannedImport { id: import.id, functions });
    }
    let function =
        |name, present: bool| present.then(|| symbol_address(name, size_of::<FunctionEntry>())).transpose();
    // Functions of which values cross, which they do between two images of one compiler only.
    let same_compiler = build.rustc == Build::own().rustc;
    let crossing = |name, described: Option<InterfaceDescription>| {
        let described = described.filter(|_| same_compiler);
        Ok(function(name, described.is_some())?.zip(described))
    };
    Ok(Plan {
        entry: symbol_address(symbol::ENTRY, size_of::<ModuleEntry>())?,
        exports,
        imports: filled,
        before_unload: function(symbol::BEFORE_UNLOAD, module.before_unload)?,
        run_main: function(symbol::RUN_MAIN, module.main.is_some())?,
        main: crossing(symbol::MAIN, module.main)?,
        save_state: crossing(symbol::SAVE_STATE, module.save_state)?,
        restore_state: crossing(symbol::RESTORE_STATE, module.restore_state)?,
        migrate_state: crossing(symbol::MIGRATE_STATE, module.migrate_state)?,
    })
}
