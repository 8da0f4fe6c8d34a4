//! The module's end of the contract: the entry table, the build record, and taking over the host's context.

use std::sync::atomic::{AtomicPtr, Ordering};

use relib_abi::entry::{HostContext, ModuleEntry, SystemTable};
use relib_abi::metadata::{self, RecordKind};
use relib_interface::panics;

use crate::early::ARENA;
use crate::{allocator, imp, state};

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

/// The context that the host gave, or null before that.
///
/// What a load writes or reads stands beside what the loader writes anyway, and not in a page of zeros of its own, which
/// the system would have to make for each load.
#[unsafe(link_section = ".data")]
static CONTEXT: AtomicPtr<HostContext> = AtomicPtr::new(std::ptr::null_mut());

unsafe extern "C" fn attach(context: *const HostContext) -> bool {
    // SAFETY: the host passes a context that stays in place until this image is gone.
    let host = unsafe { &*context };
    // Also if the heap is not taken over: the shims lead to the host from now on.
    CONTEXT.store(context.cast_mut(), Ordering::Release);
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

/// The host's functions, and the pointer to pass back to them.
///
/// The shims that need it are reached through imports that the host redirected. It does so before it calls `attach`, but
/// no code of the module runs in between; on Windows, where the loader calls images when threads end, the host has the
/// loader's lock meanwhile.
pub(crate) fn host() -> (&'static SystemTable, *const std::ffi::c_void) {
    let context = context();
    (&context.system, context.module)
}

/// What the host gave to this module.
pub(crate) fn context() -> &'static HostContext {
    let context = CONTEXT.load(Ordering::Acquire);
    assert!(!context.is_null(), "the host was called before it attached the module");
    // SAFETY: the pointer is the host's context, which stays in place until this image is gone.
    unsafe { &*context }
}
