//! Mutable references: changed in place, or copied in and copied back, all of a call's or none.

use relib_abi::schema::{Shape, Type};

use super::{Argument, reference, slice_type};
use crate::panics::catch_silently;
use crate::transfer::Transfer;

/// A mutable reference on its way: the sender's place, and the sender's functions that store changed values there.
#[doc(hidden)]
#[repr(C)]
pub struct MutableWire<T> {
    place: *mut T,
    len: usize,
    functions: *const StoreFunctions<T>,
}

/// What the sender does for a receiver that has changed a copy of its values.
#[repr(C)]
struct StoreFunctions<T> {
    /// Deep-copies `len` values in the sender's allocator. Null if that panicked.
    prepare: unsafe extern "C" fn(values: *const T, len: usize) -> *mut T,
    /// Moves prepared values into the place, whose own are dropped.
    commit: unsafe extern "C" fn(place: *mut T, prepared: *mut T, len: usize),
    /// Drops prepared values.
    discard: unsafe extern "C" fn(prepared: *mut T, len: usize),
}

impl<T> Clone for MutableWire<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for MutableWire<T> {}

impl<T: Transfer> MutableWire<T> {
    const FUNCTIONS: &StoreFunctions<T> =
        &StoreFunctions { prepare: prepare::<T>, commit: commit::<T>, discard: discard::<T> };

    fn new(place: &mut [T]) -> Self {
        Self { place: place.as_mut_ptr(), len: place.len(), functions: Self::FUNCTIONS }
    }

    fn functions(&self) -> &StoreFunctions<T> {
        // SAFETY: `new` set the address of a constant of the sender's image, which is loaded during the call.
        unsafe { &*self.functions }
    }
}

unsafe extern "C" fn prepare<T: Transfer>(values: *const T, len: usize) -> *mut T {
    let mut prepared = std::ptr::null_mut();
    catch_silently(|| {
        // SAFETY: the receiver passes values of its own that are alive.
        let values = unsafe { std::slice::from_raw_parts(values, len) };
        let copies: Box<[T]> = values.iter().map(T::deep_copy).collect();
        prepared = Box::into_raw(copies).cast();
    });
    prepared
}

/// Takes prepared values over.
///
/// # Safety
/// They must come from [`prepare`] for the same length, and be given up.
unsafe fn take_prepared<T>(prepared: *mut T, len: usize) -> Box<[T]> {
    // SAFETY: the parts are those of the box that `prepare` made, says the caller.
    unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(prepared, len)) }
}

unsafe extern "C" fn commit<T: Transfer>(place: *mut T, prepared: *mut T, len: usize) {
    // SAFETY: the receiver passes on what `prepare` returned, once.
    let mut prepared = unsafe { take_prepared(prepared, len) };
    // SAFETY: the place is the sender's, borrowed mutably for the call; the receiver passes the length that came with it.
    let place = unsafe { std::slice::from_raw_parts_mut(place, len) };
    place.swap_with_slice(&mut prepared);
    // The values that the place had before: a panic of theirs comes too late to undo anything.
    catch_silently(|| drop(prepared));
}

unsafe extern "C" fn discard<T: Transfer>(prepared: *mut T, len: usize) {
    // SAFETY: the receiver passes on what `prepare` returned, once.
    let prepared = unsafe { take_prepared(prepared, len) };
    catch_silently(|| drop(prepared));
}

/// A mutable argument on the receiver's side.
#[doc(hidden)]
pub struct MutableReceived<T> {
    wire: MutableWire<T>,
    /// The receiver's copy; `None` if the value owns no memory and is changed in place.
    copy: Option<Vec<T>>,
}

/// Changed values in the sender's allocator, not yet in their place; discarded when dropped.
#[doc(hidden)]
pub struct PreparedChanges<T: Transfer> {
    wire: MutableWire<T>,
    /// Null if there is nothing to store, or no more.
    prepared: *mut T,
}

impl<T: Transfer> PreparedChanges<T> {
    fn commit(mut self) {
        let prepared = std::mem::replace(&mut self.prepared, std::ptr::null_mut());
        if !prepared.is_null() {
            // SAFETY: the wire form is the sender's, the call is not over, and the values are given up here.
            unsafe { (self.wire.functions().commit)(self.wire.place, prepared, self.wire.len) };
        }
    }
}

impl<T: Transfer> Drop for PreparedChanges<T> {
    fn drop(&mut self) {
        if !self.prepared.is_null() {
            // SAFETY: as in `commit`.
            unsafe { (self.wire.functions().discard)(self.prepared, self.wire.len) };
        }
    }
}

impl<T: Transfer> MutableReceived<T> {
    /// # Safety
    /// `wire` must come from `MutableWire::new` on values that are borrowed mutably until the call is over.
    unsafe fn new(wire: MutableWire<T>) -> Self {
        let copy = T::OWNS_MEMORY.then(|| {
            // SAFETY: the sender's values are alive and unused during the call, says the caller.
            unsafe { std::slice::from_raw_parts(wire.place, wire.len) }.iter().map(T::deep_copy).collect()
        });
        Self { wire, copy }
    }

    /// # Safety
    /// To be called once; `self` must outlive the result.
    unsafe fn open<'a>(&mut self) -> &'a mut [T] {
        let place = match &mut self.copy {
            Some(copy) => copy.as_mut_ptr(),
            None => self.wire.place,
        };
        // SAFETY: the place is either the receiver's copy, which stays in its heap block, or the sender's value, which
        // is borrowed for the call; the caller opens it once.
        unsafe { std::slice::from_raw_parts_mut(place, self.wire.len) }
    }

    fn prepare(self) -> PreparedChanges<T> {
        let Self { wire, copy } = self;
        let mut prepared = std::ptr::null_mut();
        if let Some(copy) = copy {
            // SAFETY: the values are alive, and the sender's image is loaded while the call is not over.
            prepared = unsafe { (wire.functions().prepare)(copy.as_ptr(), copy.len()) };
            assert!(!prepared.is_null(), "the other side panicked while it copied a changed argument back");
        }
        PreparedChanges { wire, prepared }
    }
}

// SAFETY: the wire form is the place and the sender's function for it; a value that owns memory is copied both ways.
unsafe impl<T: Transfer> Argument for &mut T {
    const TYPE: &'static Type = const { &reference(Shape::MutableReference, const { &[T::TYPE] }) };
    const IN_PLACE: bool = !T::OWNS_MEMORY;
    type Wire = MutableWire<T>;
    type Received = MutableReceived<T>;
    type Changes = PreparedChanges<T>;

    #[inline]
    fn lend(&mut self) -> Self::Wire {
        MutableWire::new(std::slice::from_mut(self))
    }

    #[inline]
    unsafe fn accept(wire: Self::Wire) -> Self::Received {
        // SAFETY: the caller guarantees that the wire form comes from `lend` on a living argument.
        unsafe { MutableReceived::new(wire) }
    }

    #[inline]
    unsafe fn open(received: &mut Self::Received) -> Self {
        // SAFETY: as the caller guarantees; `lend` made the slice of exactly one value.
        unsafe { &mut received.open()[0] }
    }

    #[inline]
    fn prepare(received: Self::Received) -> Self::Changes {
        received.prepare()
    }

    #[inline]
    fn commit(changes: Self::Changes) {
        changes.commit();
    }
}

// SAFETY: as for `&mut T`, for each element.
unsafe impl<T: Transfer> Argument for &mut [T] {
    const TYPE: &'static Type = const { &reference(Shape::MutableReference, const { &[slice_type::<T>()] }) };
    const IN_PLACE: bool = !T::OWNS_MEMORY;
    type Wire = MutableWire<T>;
    type Received = MutableReceived<T>;
    type Changes = PreparedChanges<T>;

    #[inline]
    fn lend(&mut self) -> Self::Wire {
        MutableWire::new(self)
    }

    #[inline]
    unsafe fn accept(wire: Self::Wire) -> Self::Received {
        // SAFETY: the caller guarantees that the wire form comes from `lend` on a living argument.
        unsafe { MutableReceived::new(wire) }
    }

    #[inline]
    unsafe fn open(received: &mut Self::Received) -> Self {
        // SAFETY: as the caller guarantees.
        unsafe { received.open() }
    }

    #[inline]
    fn prepare(received: Self::Received) -> Self::Changes {
        received.prepare()
    }

    #[inline]
    fn commit(changes: Self::Changes) {
        changes.commit();
    }
}
