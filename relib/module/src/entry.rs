//! The module's end of the contract: the entry table, the build record, and what is done when the host attaches the module.

use relib_abi::entry::{HostContext, ModuleEntry};
use relib_abi::metadata::{self, RecordKind};
use relib_interface::panics;

use crate::early::ARENA;
use crate::{allocator, context, imp, state};

#[unsafe(export_name = relib_abi::name!(entry))]
static ENTRY: ModuleEntry = ModuleEntry {
    abi_version: relib_abi::ABI_VERSION,
    attach,
    redirects: imp::REDIRECTS,
    probe_allocator: allocator::probe,
    early_memory: ARENA.memory(),
};

const BUILD_LEN: usize = metadata::record_len(&[metadata::BUILD_PAYLOAD]);

/// Stands for the whole crate in the file: a library without it is not a module.
#[unsafe(link_section = relib_abi::name!(section))]
#[unsafe(export_name = relib_abi::name!(build_record))]
static BUILD: [u8; BUILD_LEN] = metadata::record(RecordKind::Build, &[metadata::BUILD_PAYLOAD]);

unsafe extern "C" fn attach(host: *const HostContext) -> bool {
    // SAFETY: the host passes a context that stays in place until this image is gone.
    let host = unsafe { &*host };
    // Also if the heap is not taken over: the shims lead to the host from now on.
    context::set(host);
    let attached = allocator::attach(&host.heap);
    if attached {
        record_panics();
    }
    attached
}

/// Makes the hook of this image's `std` note where a panic happened, and then do what it did before.
fn record_panics() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // What the hook allocates, and `std` may keep, is not for a state.
        state::outside(|| {
            panics::note(info);
            previous(info);
        });
    }));
}
