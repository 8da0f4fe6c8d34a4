//! State in a heap of its own: modules change it, the host reads it, and it outlives them.
//!
//! The heap is there until the state is dropped and every module that has changed it is gone: what a module allocated in
//! a scope and kept for itself, in a static for example, lies in it too.

use std::ffi::c_void;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Instant;

use relib_abi::entry::{Scope, ScopeTable};
use relib_interface::state::StateCell;
use relib_interface::{StateMut, Transfer};

use crate::lock::lock;
use crate::owned::heap::{self, Heap, MemoryUse};
use crate::owned::runtime::Runtime;

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
        lock(&heap.access).value = Some(Value { cell: (&raw const *cell).cast(), visit: visit_memory::<T> });
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

impl<T: Transfer> Drop for State<T> {
    fn drop(&mut self) {
        lock(&self.heap.access).value = None;
    }
}

/// The heap of one state.
pub(crate) struct StateHeap {
    pub(crate) heap: Heap,
    access: Mutex<Access>,
    /// Signalled when a scope is left.
    left: Condvar,
}

/// Who does what with a state's value.
#[derive(Default)]
struct Access {
    /// Number of scopes in which it is changed.
    scopes: usize,
    /// Where it is, until the state is dropped.
    value: Option<Value>,
}

/// The value of a state, whatever its type.
struct Value {
    cell: *const c_void,
    /// Visits the blocks of the value in the cell.
    visit: unsafe fn(cell: *const c_void, visit: &mut dyn FnMut(*const u8)),
}

// SAFETY: the cell is read only under the lock of its `Access`, when no scope is open.
unsafe impl Send for Value {}

/// # Safety
/// `cell` must be that of a `State<T>` which nobody changes meanwhile.
unsafe fn visit_memory<T: Transfer>(cell: *const c_void, visit: &mut dyn FnMut(*const u8)) {
    // SAFETY: as the caller guarantees.
    let cell = unsafe { &*cell.cast::<StateCell<T>>() };
    cell.value.visit_memory(visit);
}

/// Why a module cannot go that has changed a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// The state is being changed, by this module or another.
    InScope,
    /// So many blocks of the state's value are the module's.
    ModuleMemory(usize),
}

/// The heaps of all states, for [`owns`].
static HEAPS: Mutex<Vec<Weak<StateHeap>>> = Mutex::new(Vec::new());

impl StateHeap {
    fn new() -> Arc<Self> {
        let heap = Heap::new().expect("there is no memory for the heap of a state");
        let heap = Arc::new(Self { heap, access: Mutex::default(), left: Condvar::new() });
        let mut heaps = lock(&HEAPS);
        heaps.retain(|heap| heap.strong_count() > 0);
        heaps.push(Arc::downgrade(&heap));
        heap
    }

    /// Makes sure that no block of the state's value is the module's, by `is_of_module`; waits for open scopes until
    /// `deadline`.
    pub(crate) fn refuse_memory(
        &self,
        is_of_module: impl Fn(*const u8) -> bool,
        deadline: Instant,
    ) -> Result<(), Holds> {
        let limit = deadline.saturating_duration_since(Instant::now());
        let (access, waited) = self
            .left
            .wait_timeout_while(lock(&self.access), limit, |access| access.scopes > 0)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() && access.scopes > 0 {
            return Err(Holds::InScope);
        }
        let Some(value) = &access.value else { return Ok(()) };
        let mut blocks = 0;
        // SAFETY: the cell is there until the state takes it away under this lock, and no scope is open; outside of
        // scopes the value is only read.
        unsafe { (value.visit)(value.cell, &mut |block| blocks += usize::from(is_of_module(block))) };
        if blocks == 0 { Ok(()) } else { Err(Holds::ModuleMemory(blocks)) }
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
        lock(&state.access).scopes += 1;
        runtime.keep_state(state);
        heap
    });
    // SAFETY: the module keeps the scope in place and leaves it in order.
    unsafe { heap::enter_scope(scope, runtime.heap, state) };
}

unsafe extern "C" fn leave(module: *const c_void, scope: *const Scope) {
    // SAFETY: the module passes its context's pointer, and leaves the scope that it entered last.
    let (runtime, heap) = unsafe { (&*module.cast::<Runtime>(), heap::leave_scope(scope)) };
    if let Some(state) = runtime.states().into_iter().find(|state| Some(state.heap) == heap) {
        lock(&state.access).scopes -= 1;
        state.left.notify_all();
    }
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
    fn a_value_of_the_modules_own_is_found() {
        let module = module();
        let mut state = State::<Vec<u64>>::new();
        let refuse = |state: &State<Vec<u64>>| {
            state.heap.refuse_memory(|block| module.heap.owns(block.cast()), Instant::now())
        };
        // SAFETY: the block has room for the elements, which are plain; the state never drops it.
        *state.cell.value = Some(unsafe { Vec::from_raw_parts(allocate(&module).cast(), 0, 12) });
        assert_eq!(refuse(&state), Err(Holds::ModuleMemory(1)));
        // SAFETY: as above.
        let own = within(&module, state.cell.heap, || unsafe {
            Vec::from_raw_parts(allocate(&module).cast(), 0, 12)
        });
        std::mem::forget(state.cell.value.replace(own));
        assert_eq!(refuse(&state), Ok(()));
        within(&module, state.cell.heap, || assert_eq!(refuse(&state), Err(Holds::InScope)));
        assert_eq!(refuse(&state), Ok(()));
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
