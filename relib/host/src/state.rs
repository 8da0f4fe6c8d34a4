//! State in a heap of its own: modules change it, the host reads it, and it outlives them.
//!
//! The heap is there until the state is dropped and every module that has changed it is gone: what a module allocated in
//! a scope and kept for itself, in a static for example, lies in it too.

use std::ffi::c_void;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex, Weak};

use relib_abi::entry::{Scope, ScopeTable};
use relib_interface::state::StateCell;
use relib_interface::{StateMut, Transfer};

use crate::heap::{self, Heap, MemoryUse};
use crate::runtime::{Runtime, lock};

/// A value that outlives the modules that work on it, without being copied when they are replaced.
///
/// It is empty at first. A module makes the value and changes it when the host [lends](Self::lend) it the state, by
/// `relib_module::ChangeState`; the memory that it needs for that comes from a heap that belongs to the state. The host
/// reads it by reference, and so does a module that takes a `&T`.
///
/// Both sides must agree about `T`: a module that was built with another `T` is refused when it is loaded, like one
/// with any other difference in its interfaces. `T` is [`Transfer`], so that no reference to a static, no function
/// pointer and no trait object of an unloaded module can be in it; for the same reason it must be free of hash tables,
/// which while they are empty refer to their module.
///
/// ```no_run
/// use relib::State;
/// # mod shared {
/// #     use relib_interface::{StateMut, Transfer, interface};
/// #     #[derive(Transfer)]
/// #     pub struct World { pub names: Vec<String> }
/// #     #[interface]
/// #     pub trait Exports {
/// #         fn tick(world: StateMut<'_, World>);
/// #     }
/// # }
/// # use shared::{ModuleExports, World};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut world: State<World> = State::new();
/// for _ in 0..2 {
///     // SAFETY: the module is our own.
///     let module = unsafe { relib::load_module::<ModuleExports>("target/debug/libmodule.so", ())? };
///     module.exports().tick(world.lend());
///     module.unload()?;
/// }
/// if let Some(world) = world.get() {
///     println!("{} names from two modules that are gone", world.names.len());
/// }
/// # Ok(())
/// # }
/// ```
///
/// A hash table is refused:
///
/// ```compile_fail
/// let state: relib::State<std::collections::HashMap<u32, u32>> = relib::State::new();
/// ```
pub struct State<T: Transfer> {
    // Never dropped: its memory goes with the heap.
    cell: Box<StateCell<T>>,
    heap: Arc<StateHeap>,
}

// SAFETY: the value is only reached through `&self` and `&mut self`; the heap may be used from any thread.
unsafe impl<T: Transfer + Send> Send for State<T> {}
// SAFETY: `&State` gives `&T` and nothing else.
unsafe impl<T: Transfer + Sync> Sync for State<T> {}

impl<T: Transfer + fmt::Debug> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&self.get()).finish()
    }
}

impl<T: Transfer> Default for State<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Transfer> State<T> {
    /// An empty state.
    ///
    /// # Panics
    /// If there is no memory for a heap.
    pub fn new() -> Self {
        let heap = StateHeap::new();
        let mut cell =
            Box::new(StateCell { value: ManuallyDrop::new(None), heap: Arc::as_ptr(&heap).cast() });
        // Refuses the types that `lend` would refuse, where they are named first.
        // SAFETY: the cell is that of this state, and borrowed for the expression.
        let _ = unsafe { StateMut::new(&raw mut *cell) };
        Self { cell, heap }
    }

    /// The value; `None` until a module has made one.
    pub fn get(&self) -> Option<&T> {
        self.cell.value.as_ref()
    }

    /// Lends the state to a module, for one call.
    pub fn lend(&mut self) -> StateMut<'_, T> {
        // SAFETY: the cell is that of this state, which is borrowed for as long as the result is there.
        unsafe { StateMut::new(&raw mut *self.cell) }
    }

    /// The memory of the value, and of what modules have allocated in scopes and kept.
    pub fn memory(&self) -> MemoryUse {
        self.heap.heap.usage()
    }
}

/// The heap of one state.
#[derive(Debug)]
pub(crate) struct StateHeap {
    pub(crate) heap: Heap,
}

/// The heaps of all states, for [`owns`].
static HEAPS: Mutex<Vec<Weak<StateHeap>>> = Mutex::new(Vec::new());

impl StateHeap {
    fn new() -> Arc<Self> {
        let heap = Arc::new(Self { heap: Heap::new().expect("there is no memory for the heap of a state") });
        let mut heaps = lock(&HEAPS);
        heaps.retain(|heap| heap.strong_count() > 0);
        heaps.push(Arc::downgrade(&heap));
        heap
    }
}

impl Drop for StateHeap {
    fn drop(&mut self) {
        // SAFETY: the state and all modules that have changed it are gone, and nobody else has blocks of the heap.
        unsafe { self.heap.destroy() };
    }
}

/// Whether a block is of the heap of any state.
pub(crate) fn owns(block: *const c_void) -> bool {
    let heaps: Vec<Arc<StateHeap>> = lock(&HEAPS).iter().filter_map(Weak::upgrade).collect();
    heaps.iter().any(|state| state.heap.owns(block))
}

/// The table for [`HostContext::scopes`](relib_abi::entry::HostContext::scopes).
pub(crate) fn scope_table() -> ScopeTable {
    ScopeTable { enter, leave }
}

unsafe extern "C" fn enter(module: *const c_void, state: *const c_void, scope: *mut Scope) {
    // SAFETY: the module passes its context's pointer: the host keeps the `Arc` until the image is gone.
    let runtime = unsafe { &*module.cast::<Runtime>() };
    let state = (!state.is_null()).then(|| {
        let state = state.cast::<StateHeap>();
        // SAFETY: the handle is that of a state that is lent to the module, so its `Arc` is alive; the count is raised
        // for the new one.
        let state = unsafe {
            Arc::increment_strong_count(state);
            Arc::from_raw(state)
        };
        let heap = state.heap;
        runtime.keep_state(state);
        heap
    });
    // SAFETY: the module keeps the scope in place and leaves it in order.
    unsafe { heap::enter_scope(scope, runtime.heap, state) };
}

unsafe extern "C" fn leave(_module: *const c_void, scope: *const Scope) {
    // SAFETY: the module leaves the scope that it entered last.
    unsafe { heap::leave_scope(scope) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module without an image: what it allocates, it allocates through its heap's table.
    fn module() -> Arc<Runtime> {
        Arc::new(Runtime::new(Heap::new().unwrap()))
    }

    fn allocate(module: &Runtime) -> *mut c_void {
        let table = module.heap.table();
        // SAFETY: the function belongs to the heap.
        unsafe { (table.allocate)(table.heap, 100) }
    }

    fn within<R>(module: &Arc<Runtime>, state: *const c_void, body: impl FnOnce() -> R) -> R {
        let module = Arc::as_ptr(module).cast();
        let mut scope = Scope::new();
        // SAFETY: the scope is in place until it is left below.
        unsafe { enter(module, state, &raw mut scope) };
        let result = body();
        // SAFETY: as above.
        unsafe { leave(module, &raw const scope) };
        result
    }

    #[test]
    fn a_scope_is_for_one_module_and_ends() {
        let (first, second) = (module(), module());
        let state = State::<Vec<String>>::new();
        let handle = state.cell.heap;
        within(&first, handle, || {
            assert!(state.heap.heap.owns(allocate(&first)));
            assert!(second.heap.owns(allocate(&second)));
            assert!(heap::is_in_scope(first.heap) && !heap::is_in_scope(second.heap));
            within(&second, handle, || {
                assert!(
                    state.heap.heap.owns(allocate(&first)),
                    "an inner scope of another module hides this one"
                );
                assert!(state.heap.heap.owns(allocate(&second)));
            });
            within(&first, std::ptr::null(), || assert!(first.heap.owns(allocate(&first))));
            assert!(state.heap.heap.owns(allocate(&first)));
        });
        assert!(first.heap.owns(allocate(&first)));
        assert!(!heap::is_in_scope(first.heap));
    }

    #[test]
    fn blocks_move_by_where_they_grow_and_are_freed_anywhere() {
        let module = module();
        let state = State::<Vec<String>>::new();
        let table = module.heap.table();
        let own = allocate(&module);
        let grown = within(&module, state.cell.heap, || {
            // SAFETY: the block is of the table's heap.
            unsafe { (table.reallocate)(table.heap, own, 1 << 20) }
        });
        assert!(state.heap.heap.owns(grown));
        // SAFETY: the block is alive, and any mimalloc block may be freed.
        unsafe { (table.free)(grown, table.heap) };
        assert_eq!(state.memory().blocks, 0);
    }

    #[test]
    fn the_heap_stays_for_a_module_that_has_changed_the_state() {
        let module = module();
        let state = State::<Vec<String>>::new();
        let kept = within(&module, state.cell.heap, || allocate(&module));
        let heap = Arc::downgrade(&state.heap);
        drop(state);
        assert!(owns(kept), "the block of a static would dangle");
        drop(module);
        assert!(heap.upgrade().is_none());
    }
}
