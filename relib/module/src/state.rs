//! Scopes: while one lasts, what the module allocates on this thread comes from the heap of a state that outlives it.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::marker::PhantomPinned;
use std::mem::ManuallyDrop;
use std::pin::{Pin, pin};

use relib_abi::entry;
use relib_interface::{StateMut, Transfer};

use crate::context::context;

/// Changes a state that the host has lent, in a scope in which the module's allocations go to the state's heap.
///
/// ```
/// use relib_interface::StateMut;
/// use relib_module::{ChangeState, Transfer};
///
/// #[derive(Transfer)]
/// struct World {
///     names: Vec<String>,
/// }
///
/// fn tick(mut world: StateMut<'_, World>, name: &str) {
///     world.init((), |()| World { names: Vec::new() });
///     world.change(name.to_owned(), |world, name| world.names.push(name));
/// }
/// ```
///
/// The functions capture nothing, so that nothing of the module's own heap gets into the state by accident: what they
/// need is an argument, which is copied into the state's heap, and what they return is copied out of it.
///
/// # What to keep out of a scope
/// - Do not move a value out of a static or a thread-local of the module into the state: its memory is the module's. The
///   module then cannot be unloaded before the state is dropped (`UnloadError::StateHoldsMemory`). Copy it, or pass it as
///   an argument.
/// - What the module allocates in a scope and keeps for itself, as when a static is initialised there for the first
///   time, lies in the state's heap. That does no harm: the heap stays until the state and every module that has changed
///   it are gone. But it is reclaimed only then.
/// - A thread cannot be started in a scope: starting one fails as if the system had no more threads.
///
/// A panic ends the scope. What it had changed by then stays changed, and the state can be used as before.
pub trait ChangeState<T: Transfer> {
    /// Makes the value, unless there is one.
    fn init<A: Transfer>(&mut self, argument: A, make: fn(A) -> T);

    /// Makes a new value in the place of the one that there may be.
    fn replace<A: Transfer>(&mut self, argument: A, make: fn(A) -> T);

    /// Changes the value.
    ///
    /// # Panics
    /// If there is none; see [`init`](Self::init). All three functions panic in a module whose global allocator is not relib's.
    fn change<A: Transfer, R: Transfer>(&mut self, argument: A, change: fn(&mut T, A) -> R) -> R;
}

impl<T: Transfer> ChangeState<T> for StateMut<'_, T> {
    fn init<A: Transfer>(&mut self, argument: A, make: fn(A) -> T) {
        if self.get().is_none() {
            self.replace(argument, make);
        }
    }

    fn replace<A: Transfer>(&mut self, argument: A, make: fn(A) -> T) {
        let cell = self.cell();
        within(cell.heap, argument, |argument| *cell.value = Some(make(argument)));
    }

    fn change<A: Transfer, R: Transfer>(&mut self, argument: A, change: fn(&mut T, A) -> R) -> R {
        let cell = self.cell();
        let value = cell.value.as_mut().expect("the state has no value yet; make one by `init`");
        within(cell.heap, argument, |argument| change(value, argument))
    }
}

/// Calls `body` in a scope, with a copy of the argument that is made in it; the result is copied out of it.
fn within<A: Transfer, R: Transfer>(heap: *const c_void, argument: A, body: impl FnOnce(A) -> R) -> R {
    let result = {
        let scope = pin!(Scope::new());
        let _left_at_the_end = scope.as_ref().enter(heap);
        if A::OWNS_MEMORY {
            let copy = argument.deep_copy();
            ManuallyDrop::new(body(copy))
        } else {
            ManuallyDrop::new(body(argument))
        }
    };
    if !R::OWNS_MEMORY {
        return ManuallyDrop::into_inner(result);
    }
    let copy = result.deep_copy();
    drop(ManuallyDrop::into_inner(result));
    copy
}

/// Calls `body` outside all scopes of this thread.
pub(crate) fn outside<R>(body: impl FnOnce() -> R) -> R {
    let scope = pin!(Scope::new());
    let _left_at_the_end = scope.as_ref().enter(std::ptr::null());
    body()
}

/// A scope, which must stay where it is while the host knows of it.
struct Scope {
    raw: UnsafeCell<entry::Scope>,
    _stays_in_place: PhantomPinned,
}

impl Scope {
    fn new() -> Self {
        Self { raw: UnsafeCell::new(entry::Scope::new()), _stays_in_place: PhantomPinned }
    }

    fn enter(self: Pin<&Self>, heap: *const c_void) -> Entered<'_> {
        let context = context();
        // SAFETY: the handle is that of a state that is lent for the call, or null. The scope is pinned, and `Entered`
        // leaves it before its place is used otherwise, on this thread and in the reverse order.
        let entered = unsafe { (context.scopes.enter)(context.module, heap, self.raw.get()) };
        assert!(
            entered,
            "a module whose global allocator takes its memory from somewhere else than relib \
             (LoadOptions::allow_foreign_allocator) cannot change a state; compose it with relib_module::ModuleAlloc"
        );
        Entered(self)
    }
}

/// Leaves a scope when dropped.
struct Entered<'a>(Pin<&'a Scope>);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let context = context();
        // SAFETY: the scope was entered, and those inside it have been left.
        unsafe { (context.scopes.leave)(context.module, self.0.raw.get()) };
    }
}
