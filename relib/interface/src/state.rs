//! State in a heap of its own, which modules change and which outlives them: how it is passed to a module.
//!
//! The host owns the state as a `relib::State`, and lends it by a parameter of the type [`StateMut`]. What the module
//! allocates for the state must come from the state's heap: `relib_module::ChangeState` sees to that.

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

use relib_abi::schema::{Shape, Type};

use crate::crossing::{Argument, Lent};
use crate::transfer::Transfer;

/// A state as both sides see it. Its value's memory is all in the state's heap, so neither side drops it.
#[doc(hidden)]
#[repr(C)]
pub struct StateCell<T> {
    pub value: ManuallyDrop<Option<T>>,
    /// The host's handle of the heap.
    pub heap: *const std::ffi::c_void,
}

/// A state that the host has lent to a module for a call.
///
/// ```
/// use relib_interface::{StateMut, Transfer, interface};
///
/// #[derive(Transfer)]
/// pub struct World {
///     pub names: Vec<String>,
/// }
///
/// #[interface]
/// pub trait Exports {
///     fn tick(world: StateMut<'_, World>);
///     fn draw(world: &World);
/// }
/// # fn main() {}
/// ```
///
/// A module changes it by `relib_module::ChangeState`. The host makes it by `relib::State::lend`.
pub struct StateMut<'a, T> {
    cell: *mut StateCell<T>,
    lent: PhantomData<&'a mut T>,
}

impl<T: fmt::Debug> fmt::Debug for StateMut<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StateMut").field(self.cell_value()).finish()
    }
}

impl<T> StateMut<'_, T> {
    fn cell_value(&self) -> &Option<T> {
        // SAFETY: the cell is borrowed mutably for as long as this exists, says whoever made it.
        unsafe { &(*self.cell).value }
    }
}

impl<T: Transfer> StateMut<'_, T> {
    /// Fails to compile for types that must not outlive the image that made them.
    const MAY_OUTLIVE_IMAGE: () = assert!(
        !T::REACHES_IMAGE,
        "this type cannot be in a state that outlives modules: an empty HashMap or HashSet refers to the image that made \
         it; use BTreeMap and BTreeSet, or hand the state over by #[relib_module::save_state]",
    );

    /// Lends a state.
    ///
    /// # Safety
    /// The cell must be a state's, and borrowed mutably for the lifetime of the result.
    #[doc(hidden)]
    pub unsafe fn new(cell: *mut StateCell<T>) -> Self {
        let () = Self::MAY_OUTLIVE_IMAGE;
        Self { cell, lent: PhantomData }
    }

    /// The value; `None` until a module has made one.
    pub fn get(&self) -> Option<&T> {
        self.cell_value().as_ref()
    }

    /// The cell, for the side that changes it.
    #[doc(hidden)]
    pub fn cell(&mut self) -> &mut StateCell<T> {
        // SAFETY: as in `cell_value`; `&mut self` excludes every other use.
        unsafe { &mut *self.cell }
    }
}

// SAFETY: the state is lent for `'a`; its value is `'static` data, as `Transfer` demands.
unsafe impl<'a, T: Transfer> Lent<'a> for StateMut<'a, T> {}

// SAFETY: the wire form is the address of the cell, which the sender has borrowed mutably for the call. The type's
// description is part of this one's, and `Option` of a type is laid out alike by the same compiler.
unsafe impl<'a, T: Transfer> Argument for StateMut<'a, T> {
    const TYPE: &'static Type = const {
        let () = Self::MAY_OUTLIVE_IMAGE;
        &Type::new(
            "StateMut",
            size_of::<StateCell<T>>(),
            align_of::<StateCell<T>>(),
            const { &[T::TYPE] },
            Shape::Opaque,
        )
    };
    type Wire = *mut StateCell<T>;
    type Received = *mut StateCell<T>;
    type Changes = ();

    #[inline]
    fn lend(&mut self) -> Self::Wire {
        self.cell
    }

    #[inline]
    unsafe fn accept(wire: Self::Wire) -> Self::Received {
        wire
    }

    #[inline]
    unsafe fn open(received: &mut Self::Received) -> Self {
        Self { cell: *received, lent: PhantomData }
    }

    #[inline]
    fn prepare(_received: Self::Received) {}

    #[inline]
    fn commit(_changes: ()) {}
}
