//! Names of the symbols that a module exports for its host.
//!
//! The host never looks these up through the dynamic linker: it takes their addresses from the verified file, so that
//! no other image can stand in for them. Code inside the module never refers to them either.

/// The names of the contract as literals, for attributes such as `export_name`, which take no constants.
#[macro_export]
macro_rules! name {
    (section) => {
        ".relib"
    };
    (import_section) => {
        ".relibp"
    };
    (prefix) => {
        "__relib_"
    };
    (entry) => {
        "__relib_entry"
    };
    (build_record) => {
        "__relib_record_build"
    };
}

/// Prefix of every symbol that relib exports from a module.
pub const PREFIX: &str = crate::name!(prefix);

/// The [`ModuleEntry`](crate::entry::ModuleEntry) of the module.
pub const ENTRY: &str = crate::name!(entry);

/// The [`FunctionEntry`](crate::call::FunctionEntry) of the module's `main`.
pub const MAIN: &str = "__relib_main";

/// The [`FunctionEntry`](crate::call::FunctionEntry) of a function that calls the module's `main` and drops what it
/// returns, so that a host can run it without knowing that type.
pub const RUN_MAIN: &str = "__relib_run_main";

/// The [`FunctionEntry`](crate::call::FunctionEntry) of the module's `before_unload`.
pub const BEFORE_UNLOAD: &str = "__relib_before_unload";

/// The [`FunctionEntry`](crate::call::FunctionEntry) of the function that the module saves its state by.
pub const SAVE_STATE: &str = "__relib_save_state";

/// The [`FunctionEntry`](crate::call::FunctionEntry) of the function that the module takes saved state by.
pub const RESTORE_STATE: &str = "__relib_restore_state";

/// The [`FunctionEntry`](crate::call::FunctionEntry) of the function that makes the module's state of an older one.
pub const MIGRATE_STATE: &str = "__relib_migrate_state";
