//! What a module's allocator calls: which heap a block comes from, and whether a block may be freed.
//!
//! On a thread that is in a scope, the module's blocks come from the heap of a state. Nothing is recorded here for an
//! allocation, and no lock is taken.

use std::ffi::c_void;
use std::path::Path;
use std::sync::Mutex;

use libmimalloc_sys as mimalloc;
use relib_abi::entry::{HeapTable, Scope};

use super::heap::{Heap, NO_SCOPE, SCOPE, VALIDATED};
use super::threads;
use crate::lock::lock;

impl Heap {
    /// A new, empty heap; `None` if there is no memory for it.
    pub(crate) fn new() -> Option<Self> {
        if SCOPE.get().is_null() {
            enter_first();
        }
        Self::make()
    }

    /// The heap as the module sees it: mimalloc's own functions, with next to nothing in between.
    pub(crate) fn table(&self) -> HeapTable {
        HeapTable {
            heap: self.as_ptr(),
            allocate,
            allocate_zeroed,
            allocate_aligned,
            allocate_zeroed_aligned,
            reallocate,
            reallocate_aligned,
            free,
        }
    }

    /// As [`Heap::table`], with functions that stop the process when `module` frees or resizes a block that is not of
    /// this heap.
    pub(crate) fn validating_table(&self, module: &Path) -> HeapTable {
        lock(&VALIDATED).insert(self.as_ptr().addr(), module.to_owned());
        HeapTable {
            reallocate: validating_reallocate,
            reallocate_aligned: validating_reallocate_aligned,
            free: validating_free,
            ..self.table()
        }
    }
}

/// Where an allocation from a module's heap goes; to be called before a thread allocates.
#[inline]
fn target(heap: *mut c_void) -> *mut mimalloc::mi_heap_t {
    let scope = SCOPE.get();
    if scope == NO_SCOPE { heap.cast() } else { target_in_scope(heap, scope) }
}

#[cold]
fn target_in_scope(heap: *mut c_void, scope: *const Scope) -> *mut mimalloc::mi_heap_t {
    if scope.is_null() {
        enter_first();
        return heap.cast();
    }
    innermost_scope(heap, scope).unwrap_or(heap).cast()
}

/// The state's heap that the module with `heap` allocates from in a scope, or in the next one around it that is for it.
fn innermost_scope(heap: *mut c_void, mut scope: *const Scope) -> Option<*mut c_void> {
    while !scope.is_null() && scope != NO_SCOPE {
        // SAFETY: a scope stays in place until it is left, and was entered on this thread.
        let Scope { outer, module_heap, state_heap } = unsafe { &*scope };
        if *module_heap == heap {
            return (!state_heap.is_null()).then_some(*state_heap);
        }
        scope = *outer;
    }
    None
}

#[cold]
fn enter_first() {
    SCOPE.set(NO_SCOPE);
    // A thread that is too late for that leaves its heaps without the lock.
    threads::watch_end();
}

/// Enters a scope in which allocations from `module` go to `state`, or, without one, to the module's heap.
///
/// # Safety
/// The scope must stay in place until it is left, by this thread and after all scopes that it enters since.
pub(crate) unsafe fn enter_scope(scope: *mut Scope, module: Heap, state: Option<Heap>) {
    if SCOPE.get().is_null() {
        enter_first();
    }
    let state_heap = state.map_or(std::ptr::null_mut(), Heap::as_ptr);
    let entered = Scope { outer: SCOPE.get(), module_heap: module.as_ptr(), state_heap };
    // SAFETY: the caller passes a place for a scope.
    unsafe { scope.write(entered) };
    SCOPE.set(scope);
}

/// Leaves a scope; returns the heap that allocations went to, if it was that of a state.
///
/// # Safety
/// It must be the innermost one of this thread.
pub(crate) unsafe fn leave_scope(scope: *const Scope) -> Option<Heap> {
    // SAFETY: the scope is in place until now, as its enterer guarantees.
    let scope = unsafe { &*scope };
    SCOPE.set(scope.outer);
    // SAFETY: the heap of a state is there as long as a scope refers to it.
    unsafe { Heap::from_ptr(scope.state_heap) }
}

/// Whether the calling thread is in a scope in which allocations from `module` go elsewhere.
pub(crate) fn is_in_scope(module: Heap) -> bool {
    innermost_scope(module.as_ptr(), SCOPE.get()).is_some()
}

/// The heaps whose blocks any module may free: those of states.
static SHARED: Mutex<Vec<Heap>> = Mutex::new(Vec::new());

/// Has modules free blocks of a heap that is not theirs, until [`unshare`] is called, which must be before it is destroyed.
pub(super) fn share(heap: Heap) {
    lock(&SHARED).push(heap);
}

/// Takes [`share`] back.
pub(super) fn unshare(heap: Heap) {
    lock(&SHARED).retain(|shared| *shared != heap);
}

/// Whether a block is of a heap that is shared.
pub(crate) fn is_shared(block: *const c_void) -> bool {
    lock(&SHARED).iter().any(|heap| heap.owns(block))
}

/// Returns if `block` is of `heap`, or null; otherwise says what happened and stops the process.
fn validate(heap: *mut c_void, block: *mut c_void, operation: &str) {
    // SAFETY: the heap is that of a loaded module.
    let of_module = || unsafe { Heap::from_ptr(heap) }.is_some_and(|heap| heap.owns(block));
    if block.is_null() || of_module() || is_shared(block) {
        return;
    }
    let module = lock(&VALIDATED).get(&heap.addr()).cloned().unwrap_or_default();
    eprintln!(
        "relib: module {} {operation} the block {block:p}, which is not of its heap: it was allocated by the host, by \
         another module or by C code; let the side that allocated a block free it",
        module.display(),
    );
    std::process::abort();
}

unsafe extern "C" fn validating_free(block: *mut c_void, heap: *mut c_void) {
    validate(heap, block, "frees");
    // SAFETY: as in `free`.
    unsafe { free(block, heap) };
}

unsafe extern "C" fn validating_reallocate(
    heap: *mut c_void,
    block: *mut c_void,
    size: usize,
) -> *mut c_void {
    validate(heap, block, "resizes");
    // SAFETY: as in `reallocate`.
    unsafe { reallocate(heap, block, size) }
}

unsafe extern "C" fn validating_reallocate_aligned(
    heap: *mut c_void,
    block: *mut c_void,
    size: usize,
    align: usize,
) -> *mut c_void {
    validate(heap, block, "resizes");
    // SAFETY: as in `reallocate_aligned`.
    unsafe { reallocate_aligned(heap, block, size, align) }
}

unsafe extern "C" fn free(block: *mut c_void, _heap: *mut c_void) {
    // SAFETY: the module frees a block of its heap.
    unsafe { mimalloc::mi_free(block) };
}

// mimalloc declares its heap functions with a typed heap pointer; the contract between the images knows none.

/// Passes on to mimalloc what the module's allocator asks for.
macro_rules! forward {
    ($($name:ident => $target:ident($($argument:ident: $ty:ty),*);)*) => {$(
        unsafe extern "C" fn $name(heap: *mut c_void, $($argument: $ty),*) -> *mut c_void {
            // SAFETY: the module passes the heap of its table, which is alive as long as its image, as is that of a
            // state that it is in a scope of, and arguments that meet the contract of `HeapTable`.
            unsafe { mimalloc::$target(target(heap), $($argument),*) }
        }
    )*};
}

forward! {
    allocate => mi_heap_malloc(size: usize);
    allocate_zeroed => mi_heap_zalloc(size: usize);
    allocate_aligned => mi_heap_malloc_aligned(size: usize, align: usize);
    allocate_zeroed_aligned => mi_heap_zalloc_aligned(size: usize, align: usize);
    reallocate => mi_heap_realloc(block: *mut c_void, size: usize);
    reallocate_aligned => mi_heap_realloc_aligned(block: *mut c_void, size: usize, align: usize);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_in_the_scope_of_one_module_until_it_leaves() {
        let [first, second, state] = std::array::from_fn(|_| Heap::new().expect("there is memory"));
        let mut scope = Scope::new();
        assert!(!is_in_scope(first));
        // SAFETY: the scope is in place until it is left below, and is the innermost one.
        unsafe { enter_scope(&raw mut scope, first, Some(state)) };
        assert!(is_in_scope(first) && !is_in_scope(second));
        // SAFETY: as above.
        let left = unsafe { leave_scope(&raw const scope) };
        assert_eq!(left.map(Heap::as_ptr), Some(state.as_ptr()));
        assert!(!is_in_scope(first));
        for heap in [first, second, state] {
            // SAFETY: it has no blocks, and nobody else has it.
            unsafe { heap.destroy() };
        }
    }
}
