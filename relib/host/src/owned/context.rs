//! What a module is told of its host: its heap, and the functions that it calls on its own behalf.

use std::path::Path;
use std::sync::Arc;

use relib_abi::entry::HostContext;

use super::calls::{scope_table, system_table};
use super::runtime::Runtime;

/// The context for the module that `runtime` is kept for, which must be kept until its image is gone.
///
/// With the module's path in `validated`, the process is stopped when the module frees a block that is not its own.
pub(crate) fn host_context(runtime: &Arc<Runtime>, validated: Option<&Path>) -> HostContext {
    HostContext {
        module: Arc::as_ptr(runtime).cast(),
        heap: match validated {
            Some(path) => runtime.heap.validating_table(path),
            None => runtime.heap.table(),
        },
        scopes: scope_table(),
        system: system_table(),
    }
}
