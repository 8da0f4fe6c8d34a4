//! State in a heap of its own: modules change it, the host reads it, and it outlives them.
//!
//! The heap is there until the state is dropped and every module that has changed it is gone: what a module allocated in
//! a scope and kept for itself, in a static for example, lies in it too.

use std::ffi::c_void;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use relib_interface::state::StateCell;
use relib_interface::{StateMut, Transfer};

use crate::owned::{MemoryUse, StateHeap};

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
        let heap = StateHeap::new().expect("there is no memory for the heap of a state");
        let mut cell =
            Box::new(StateCell { value: ManuallyDrop::new(None), heap: Arc::as_ptr(&heap).cast() });
        // SAFETY: the cell stays in its box until the state is dropped; outside of scopes it is reached by shared
        // references only. It is that of a `State<T>`.
        unsafe { heap.set_value((&raw const *cell).cast(), visit_memory::<T>) };
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
        self.heap.forget_value();
    }
}

/// # Safety
/// `cell` must be that of a `State<T>` which nobody changes meanwhile.
unsafe fn visit_memory<T: Transfer>(cell: *const c_void, visit: &mut dyn FnMut(*const u8)) {
    // SAFETY: as the caller guarantees.
    let cell = unsafe { &*cell.cast::<StateCell<T>>() };
    cell.value.visit_memory(visit);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use relib_abi::entry::Scope;

    use super::*;
    use crate::owned::{Heap, Holds, Runtime, host_context};

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
        let context = host_context(module, None);
        let mut scope = Scope::new();
        // SAFETY: the scope is in place until it is left below.
        assert!(unsafe { (context.scopes.enter)(context.module, state, &raw mut scope) });
        let result = body();
        // SAFETY: as above.
        unsafe { (context.scopes.leave)(context.module, &raw const scope) };
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
            state.heap.refuse_memory(|block| module.heap.owns(block.cast()), &module.states(), Instant::now())
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
    fn a_value_of_another_state_is_found() {
        let module = module();
        let states = [(), ()].map(|()| State::<Vec<u64>>::new());
        let [mut one, mut other] = states;
        for state in [&mut one, &mut other] {
            let value = within(&module, state.cell.heap, || {
                // SAFETY: the block has room for the elements, which are plain; the state never drops it.
                unsafe { Vec::from_raw_parts(allocate(&module).cast(), 0, 12) }
            });
            *state.cell.value = Some(value);
        }
        let refuse =
            |state: &State<Vec<u64>>| state.heap.refuse_memory(|_| false, &module.states(), Instant::now());
        assert_eq!((refuse(&one), refuse(&other)), (Ok(()), Ok(())));
        std::mem::swap(&mut *one.cell.value, &mut *other.cell.value);
        assert_eq!((refuse(&one), refuse(&other)), (Err(Holds::OtherStates(1)), Err(Holds::OtherStates(1))));
    }

    #[test]
    fn the_heap_stays_for_a_module_that_has_changed_the_state() {
        let module = module();
        let state = State::<Vec<String>>::new();
        let kept = within(&module, state.cell.heap, || allocate(&module));
        let heap = Arc::downgrade(&state.heap);
        drop(state);
        let is_there = heap.upgrade().is_some_and(|heap| heap.heap.owns(kept));
        assert!(is_there, "the block of a static would dangle");
        drop(module);
        assert!(heap.upgrade().is_none());
    }
}
