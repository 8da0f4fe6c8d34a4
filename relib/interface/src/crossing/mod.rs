//! How arguments and return values cross: [`Argument`] and [`Return`].
//!
//! What stands in the `extern "C"` signature of a thunk is a value's *wire* form: primitives as they are, everything
//! else as a pointer to where the sender keeps it. The sender owns the original until the call is over.
//!
//! - An owned argument is deep-copied by the receiver; the sender drops the original.
//! - A shared reference is passed as it is.
//! - A mutable reference to a value that owns no memory is passed as it is. One that can own memory is copied in, and
//!   copied back into the sender's allocator if the call returns; if it panics, or a copy does, all such values of the
//!   sender's are as before. A large value pays for that twice; state that should not be copied belongs into memory that
//!   both sides may change.
//! - An owned return value is deep-copied by the caller, and then dropped by the callee.
//! - A returned reference is passed as it is; the interface's handle binds its lifetime to the module.

mod mutable;

use std::mem::ManuallyDrop;
use std::path::Path;

use relib_abi::call::RawSlice;
use relib_abi::schema::{Shape, Type};

use crate::panics::catch_silently;
use crate::transfer::Transfer;

/// A type that a function of an interface may take.
///
/// Implemented for every [`Transfer`] type, for references to them, and for `&str`, `&Path` and slices.
///
/// # Safety
/// `TYPE` must describe the type truly; `accept`, `open`, `prepare` and `commit` must make of the wire form what `lend`
/// made it of, and touch nothing else.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of an interface function",
    label = "may not cross between a host and a module",
    note = "parameters are `Transfer` types, `&T`, `&mut T`, `&str`, `&Path`, `&[T]` and `&mut [T]`",
    note = "for a struct or enum of your own, add `#[derive(relib_interface::Transfer)]`"
)]
pub unsafe trait Argument: Sized {
    /// Describes the parameter to the other side.
    const TYPE: &'static Type;

    /// Whether what the function gets outlives the call: not so for what is copied in and back.
    const IN_PLACE: bool = true;

    /// What stands in the thunk's signature.
    type Wire: Copy;

    /// What the receiver keeps during the call.
    type Received;

    /// What the call has changed, on its way back.
    type Changes;

    /// The wire form of this argument, which stays with the sender.
    fn lend(&mut self) -> Self::Wire;

    /// Takes the argument on the receiver's side.
    ///
    /// # Safety
    /// `wire` must come from `lend` on an argument of this type that is alive and not used until the call is over.
    unsafe fn accept(wire: Self::Wire) -> Self::Received;

    /// The argument as the function takes it.
    ///
    /// # Safety
    /// To be called once; `received` must stay in place until the result is no longer used.
    unsafe fn open(received: &mut Self::Received) -> Self;

    /// Makes ready what goes back after the function has returned. Changes nothing on the sender's side yet, so that a
    /// panic here, for this argument or another, leaves all of the sender's values as they were.
    fn prepare(received: Self::Received) -> Self::Changes;

    /// Sends the changes back. Does not panic.
    fn commit(changes: Self::Changes);
}

/// A type that a function of an interface may return.
///
/// Implemented for every [`Transfer`] type, and for `&T`, `&str`, `&Path` and `&[T]`.
///
/// # Safety
/// `TYPE` must describe the type truly; `receive` must make of the wire form what `send` made it of; `RELEASE` must be
/// null or a function that may be called once on a wire form, in the image that sent it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned by an interface function",
    label = "may not cross between a host and a module",
    note = "return types are `Transfer` types, `&T`, `&str`, `&Path` and `&[T]`",
    note = "for a struct or enum of your own, add `#[derive(relib_interface::Transfer)]`"
)]
pub unsafe trait Return: Sized {
    /// Describes the return type to the other side.
    const TYPE: &'static Type;

    /// What stands in the thunk's signature.
    type Wire;

    /// `unsafe extern "C" fn(*mut Self::Wire)`, or null if the value owns nothing.
    const RELEASE: *const ();

    /// The wire form, made by the callee.
    fn send(self) -> Self::Wire;

    /// The value, made by the caller.
    ///
    /// # Safety
    /// `wire` must come from `send`, not have been released, and be received once.
    unsafe fn receive(wire: &Self::Wire) -> Self;
}

/// A type whose values are lent for `'a`: a reference with exactly that lifetime.
///
/// The checks of `#[interface]` ask for it wherever a lifetime is written in a signature, with a lifetime that they know
/// nothing else of. So an alias such as `type Name<'a> = &'static str` does not pass.
///
/// # Safety
/// The type must be invariant in `'a` as far as this trait goes: implemented for one lifetime only, the one for which
/// what it refers to is borrowed.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not lent for the lifetime that is written in it",
    label = "may not cross between a host and a module",
    note = "what crosses is owned, and then it has no lifetimes, or it is a reference to something owned: `&T`, `&mut T`, \
            `&str`, `&Path`, `&[T]` or `&mut [T]`, or a `StateMut`"
)]
pub unsafe trait Lent<'a> {}

// SAFETY: the reference lives for `'a`; what it refers to is `'static` data, as `Transfer` demands.
unsafe impl<'a, T: Transfer> Lent<'a> for &'a T {}
// SAFETY: as for `&T`.
unsafe impl<'a, T: Transfer> Lent<'a> for &'a mut T {}
// SAFETY: as for `&T`.
unsafe impl<'a, T: Transfer> Lent<'a> for &'a [T] {}
// SAFETY: as for `&T`.
unsafe impl<'a, T: Transfer> Lent<'a> for &'a mut [T] {}
// SAFETY: the reference lives for `'a`; text refers to nothing.
unsafe impl<'a> Lent<'a> for &'a str {}
// SAFETY: the reference lives for `'a`; a path refers to nothing.
unsafe impl<'a> Lent<'a> for &'a Path {}

/// Compiles only for types that are lent for `'a`.
#[doc(hidden)]
pub const fn require_lent<'a, T: Lent<'a>>() {}

/// Implements [`Argument`] and [`Return`] for primitives, which cross by value.
macro_rules! by_value {
    ($($ty:ty),*) => {$(
        // SAFETY: the wire form is the value itself.
        unsafe impl Argument for $ty {
            const TYPE: &'static Type = <$ty as Transfer>::TYPE;
            type Wire = $ty;
            type Received = $ty;
            type Changes = ();

            #[inline]
            fn lend(&mut self) -> $ty {
                *self
            }

            #[inline]
            unsafe fn accept(wire: $ty) -> $ty {
                wire
            }

            #[inline]
            unsafe fn open(received: &mut $ty) -> $ty {
                *received
            }

            #[inline]
            fn prepare(_received: $ty) {}

            #[inline]
            fn commit(_changes: ()) {}
        }

        // SAFETY: the wire form is the value itself, and it owns nothing.
        unsafe impl Return for $ty {
            const TYPE: &'static Type = <$ty as Transfer>::TYPE;
            type Wire = $ty;
            const RELEASE: *const () = std::ptr::null();

            #[inline]
            fn send(self) -> $ty {
                self
            }

            #[inline]
            unsafe fn receive(wire: &$ty) -> $ty {
                *wire
            }
        }
    )*};
}

by_value!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64, bool, char, ());

/// Implements [`Argument`] and [`Return`] for owned [`Transfer`] types, which cross by pointer and deep copy.
///
/// The derive macro calls it too, because coherence allows no blanket implementation beside those for references.
#[doc(hidden)]
#[macro_export]
macro_rules! cross_by_copy {
    ([$($generics:tt)*] $ty:ty $(where $($bounds:tt)*)?) => {
        // SAFETY: the wire form is a pointer to the sender's value, which `accept` deep-copies.
        unsafe impl<$($generics)*> $crate::crossing::Argument for $ty $(where $($bounds)*)? {
            const TYPE: &'static $crate::__private::Type = <$ty as $crate::Transfer>::TYPE;
            type Wire = *const $ty;
            type Received = ::core::option::Option<$ty>;
            type Changes = ();

            #[inline]
            fn lend(&mut self) -> *const $ty {
                self
            }

            #[inline]
            unsafe fn accept(wire: *const $ty) -> ::core::option::Option<$ty> {
                // SAFETY: the caller guarantees that the sender's value is alive and unused during the call.
                ::core::option::Option::Some($crate::Transfer::deep_copy(unsafe { &*wire }))
            }

            #[inline]
            unsafe fn open(received: &mut ::core::option::Option<$ty>) -> $ty {
                received.take().expect("an argument is opened once")
            }

            #[inline]
            fn prepare(_received: ::core::option::Option<$ty>) {}

            #[inline]
            fn commit(_changes: ()) {}
        }

        // SAFETY: the wire form is the callee's value, which `receive` deep-copies and `RELEASE` drops.
        unsafe impl<$($generics)*> $crate::crossing::Return for $ty $(where $($bounds)*)? {
            const TYPE: &'static $crate::__private::Type = <$ty as $crate::Transfer>::TYPE;
            type Wire = ::core::mem::ManuallyDrop<$ty>;
            const RELEASE: *const () = $crate::crossing::release_of::<$ty>();

            #[inline]
            fn send(self) -> Self::Wire {
                ::core::mem::ManuallyDrop::new(self)
            }

            #[inline]
            unsafe fn receive(wire: &Self::Wire) -> Self {
                $crate::Transfer::deep_copy(&**wire)
            }
        }
    };
}

/// The function that drops a sent `T`, or null if dropping does nothing.
#[doc(hidden)]
pub const fn release_of<T: Transfer>() -> *const () {
    if T::OWNS_MEMORY { release::<T> as *const () } else { std::ptr::null() }
}

unsafe extern "C" fn release<T>(wire: *mut ManuallyDrop<T>) {
    // SAFETY: the caller hands over the wire form, which it does not use again.
    let value = ManuallyDrop::into_inner(unsafe { std::ptr::read(wire) });
    catch_silently(|| drop(value));
}

macro_rules! cross_all_by_copy {
    ($([$($generics:tt)*] $ty:ty $(where $($bound:path),*)?;)*) => {
        $(cross_by_copy!([$($generics)*] $ty);)*
    };
}

cross_all_by_copy! {
    [] std::num::NonZeroU8; [] std::num::NonZeroU16; [] std::num::NonZeroU32; [] std::num::NonZeroU64;
    [] std::num::NonZeroUsize; [] std::num::NonZeroI8; [] std::num::NonZeroI16; [] std::num::NonZeroI32;
    [] std::num::NonZeroI64; [] std::num::NonZeroIsize;
    [] std::time::Duration; [] std::time::Instant; [] std::time::SystemTime;
    [] std::net::Ipv4Addr; [] std::net::Ipv6Addr; [] std::net::IpAddr;
    [] std::net::SocketAddrV4; [] std::net::SocketAddrV6; [] std::net::SocketAddr; [] std::cmp::Ordering;
    [] String; [] Box<str>; [] std::ffi::OsString; [] std::path::PathBuf;
    [T: Transfer] Vec<T>; [T: Transfer] Box<[T]>; [T: Transfer] std::collections::VecDeque<T>; [T: Transfer] Box<T>;
    [K: Transfer + Eq + std::hash::Hash, V: Transfer] std::collections::HashMap<K, V>;
    [K: Transfer + Ord, V: Transfer] std::collections::BTreeMap<K, V>;
    [T: Transfer + Eq + std::hash::Hash] std::collections::HashSet<T>;
    [T: Transfer + Ord] std::collections::BTreeSet<T>;
    [T: Transfer] Option<T>; [T: Transfer, E: Transfer] Result<T, E>;
    [T: Transfer] std::ops::Range<T>; [T: Transfer] std::ops::RangeInclusive<T>;
    [T: Transfer] std::num::Wrapping<T>; [T: Transfer] std::cmp::Reverse<T>;
    [T: Transfer] std::marker::PhantomData<T>; [T: Transfer, const N: usize] [T; N];
    [A: Transfer] (A,);
    [A: Transfer, B: Transfer] (A, B);
    [A: Transfer, B: Transfer, C: Transfer] (A, B, C);
    [A: Transfer, B: Transfer, C: Transfer, D: Transfer] (A, B, C, D);
    [A: Transfer, B: Transfer, C: Transfer, D: Transfer, E: Transfer] (A, B, C, D, E);
    [A: Transfer, B: Transfer, C: Transfer, D: Transfer, E: Transfer, F: Transfer] (A, B, C, D, E, F);
    [A: Transfer, B: Transfer, C: Transfer, D: Transfer, E: Transfer, F: Transfer, G: Transfer]
        (A, B, C, D, E, F, G);
    [A: Transfer, B: Transfer, C: Transfer, D: Transfer, E: Transfer, F: Transfer, G: Transfer, H: Transfer]
        (A, B, C, D, E, F, G, H);
}

const STR: &Type = &Type::new("str", 0, 1, &[], Shape::Opaque);
const PATH: &Type = &Type::new("Path", 0, 1, &[], Shape::Opaque);

/// The description of a slice of `T`.
const fn slice_type<T: Transfer>() -> &'static Type {
    const { &Type::new("slice", 0, align_of::<T>(), const { &[T::TYPE] }, Shape::Slice) }
}

/// The description of a reference.
const fn reference(shape: Shape, target: &'static [&'static Type]) -> Type {
    Type::new("&", size_of::<usize>(), align_of::<usize>(), target, shape)
}

/// Implements [`Argument`] and [`Return`] for a shared reference, given its wire form and how it becomes a reference.
macro_rules! by_reference {
    ([$($generics:tt)*] $ty:ty, $described:expr, $wire:ty, |$value:ident| $lend:expr, |$raw:ident| $open:expr) => {
        // SAFETY: the wire form is the reference itself, taken apart; the sender keeps its target in place and
        // unwritten during the call.
        unsafe impl<'a, $($generics)*> Argument for $ty {
            const TYPE: &'static Type = const { &reference(Shape::Reference, const { &[$described] }) };
            type Wire = $wire;
            type Received = $ty;
            type Changes = ();

            #[inline]
            fn lend(&mut self) -> $wire {
                let $value: $ty = self;
                $lend
            }

            #[inline]
            unsafe fn accept($raw: $wire) -> $ty {
                // SAFETY: the caller guarantees that the wire form comes from `lend` on a living argument.
                unsafe { $open }
            }

            #[inline]
            unsafe fn open(received: &mut $ty) -> $ty {
                received
            }

            #[inline]
            fn prepare(_received: $ty) {}

            #[inline]
            fn commit(_changes: ()) {}
        }

        // SAFETY: as above; the handle that receives the reference binds its lifetime to the module and to the
        // arguments that it may come from.
        unsafe impl<'a, $($generics)*> Return for $ty {
            const TYPE: &'static Type = <$ty as Argument>::TYPE;
            type Wire = $wire;
            const RELEASE: *const () = std::ptr::null();

            #[inline]
            fn send(mut self) -> $wire {
                self.lend()
            }

            #[inline]
            unsafe fn receive(wire: &$wire) -> $ty {
                let $raw = *wire;
                // SAFETY: the caller guarantees that the wire form comes from `send`.
                unsafe { $open }
            }
        }
    };
}

by_reference!([T: Transfer] &'a T, T::TYPE, *const T, |value| value, |raw| &*raw);
by_reference!([T: Transfer] &'a [T], slice_type::<T>(), RawSlice<T>, |value| RawSlice::new(value), |raw| raw.as_slice());
by_reference!([] &'a str, STR, RawSlice<u8>, |value| RawSlice::new(value.as_bytes()),
    |raw| std::str::from_utf8_unchecked(raw.as_slice()));
by_reference!([] &'a Path, PATH, RawSlice<u8>, |value| RawSlice::new(value.as_os_str().as_encoded_bytes()),
    |raw| Path::new(std::ffi::OsStr::from_encoded_bytes_unchecked(raw.as_slice())));
