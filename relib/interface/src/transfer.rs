//! [`Transfer`]: types whose values may cross the boundary, and its implementations for the standard library.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use relib_abi::schema::{Shape, Type};

/// A type whose values may cross between a host and a module.
///
/// Each side has its own allocator and its own statics, and a module's are gone after its unload. So a value crosses
/// by a deep copy that the receiver makes into its own allocator, and the sender drops the original. What cannot be
/// copied that way does not implement this trait: `Rc`, `Arc`, `&'static T`, function pointers, closures, trait
/// objects.
///
/// # Deriving
/// `#[derive(Transfer)]` works for structs and enums whose fields are all `Transfer`. A type with a `Drop` of its own
/// is refused, because both sides drop their copy. A field that leads back to the type itself, as in a tree, names it as
/// `Self` or by its plain name:
///
/// ```
/// use relib_interface::Transfer;
///
/// #[derive(Transfer)]
/// enum Json {
///     Number(f64),
///     Text(String),
///     List(Vec<Json>),
/// }
/// # fn main() {}
/// ```
///
/// For a longer way round, through another type, mark one of the fields `#[transfer(unsafe(recursive))]`. relib then does
/// not look into the type of that field: it is up to you that host and module are built with the same definition of it
/// and of all that it reaches.
///
/// ```
/// use relib_interface::Transfer;
///
/// #[derive(Transfer)]
/// struct Folder {
///     entries: Vec<Entry>,
/// }
///
/// #[derive(Transfer)]
/// enum Entry {
///     File(String),
///     // SAFETY: host and module are built from one workspace, where both types are defined once.
///     Folder(#[transfer(unsafe(recursive))] Box<Folder>),
/// }
/// # fn main() {}
/// ```
///
/// What may not cross is a compile error:
///
/// ```compile_fail
/// #[derive(relib_interface::Transfer)]
/// struct Shared {
///     counter: std::sync::Arc<u64>,
/// }
/// ```
///
/// # Safety
/// - [`TYPE`](Self::TYPE) must describe the type truly: equal fingerprints must mean equal layout and meaning.
/// - The value must reach nothing that belongs to an image: no reference to a static, no function pointer, no vtable.
/// - [`deep_copy`](Self::deep_copy) must return a value whose heap memory is all from the allocator of the image that
///   it is compiled into.
/// - If [`OWNS_MEMORY`](Self::OWNS_MEMORY) is false, copying the bytes must be a deep copy and dropping must do nothing.
/// - [`visit_memory`](Self::visit_memory) must leave no block out, but for what its documentation says.
/// - If [`REACHES_IMAGE`](Self::REACHES_IMAGE) is false, a value must stay good when the image that made it is gone, as
///   long as its memory does.
#[diagnostic::on_unimplemented(
    message = "`{Self}` may not cross between a host and a module",
    label = "not `Transfer`",
    note = "each side has its own allocator and statics: only values that can be deep-copied may cross",
    note = "for a struct or enum of your own, add `#[derive(relib_interface::Transfer)]`"
)]
pub unsafe trait Transfer: Sized + 'static {
    /// Describes the type to the other side.
    const TYPE: &'static Type;

    /// Whether a value can own heap memory.
    const OWNS_MEMORY: bool;

    /// Whether a value can refer to something in the image that made it, such as a constant. A copy made by another
    /// image does not.
    const REACHES_IMAGE: bool;

    /// Copies the value into the allocator of the image that calls this.
    fn deep_copy(&self) -> Self;

    /// Shows an address inside each block of heap memory that the value owns, beside others that are in no block.
    fn visit_memory(&self, visit: &mut dyn FnMut(*const u8));
}

/// Implemented for every type that implements `Drop`, so that deriving [`Transfer`] for one is an error.
#[doc(hidden)]
pub trait MustNotImplementDrop {}

#[allow(
    drop_bounds,
    reason = "the bound selects exactly the types with a `Drop` implementation of their own"
)]
impl<T: Drop> MustNotImplementDrop for T {}

/// Compiles only for types that may cross as values.
#[doc(hidden)]
pub const fn require_transfer<T: Transfer>() {}

/// Implements [`Transfer`] for types that own no memory, where a copy of the bytes is a deep copy.
macro_rules! plain {
    ($($ty:ty = $path:literal),* $(,)?) => {$(
        // SAFETY: the type is plain data of the standard library: it owns no memory, points to nothing and has no
        // `Drop`; its description carries its name, size and alignment.
        unsafe impl Transfer for $ty {
            const TYPE: &'static Type = &Type::opaque::<$ty>($path, &[]);
            const OWNS_MEMORY: bool = false;
            const REACHES_IMAGE: bool = false;

            fn deep_copy(&self) -> Self {
                *self
            }

            fn visit_memory(&self, _visit: &mut dyn FnMut(*const u8)) {}
        }
    )*};
}

plain! {
    u8 = "u8", u16 = "u16", u32 = "u32", u64 = "u64", u128 = "u128", usize = "usize",
    i8 = "i8", i16 = "i16", i32 = "i32", i64 = "i64", i128 = "i128", isize = "isize",
    f32 = "f32", f64 = "f64", bool = "bool", char = "char",
    std::num::NonZeroU8 = "NonZeroU8", std::num::NonZeroU16 = "NonZeroU16", std::num::NonZeroU32 = "NonZeroU32",
    std::num::NonZeroU64 = "NonZeroU64", std::num::NonZeroUsize = "NonZeroUsize",
    std::num::NonZeroI8 = "NonZeroI8", std::num::NonZeroI16 = "NonZeroI16", std::num::NonZeroI32 = "NonZeroI32",
    std::num::NonZeroI64 = "NonZeroI64", std::num::NonZeroIsize = "NonZeroIsize",
    std::time::Duration = "Duration", std::time::Instant = "Instant", std::time::SystemTime = "SystemTime",
    std::net::Ipv4Addr = "Ipv4Addr", std::net::Ipv6Addr = "Ipv6Addr", std::net::IpAddr = "IpAddr",
    std::net::SocketAddrV4 = "SocketAddrV4", std::net::SocketAddrV6 = "SocketAddrV6",
    std::net::SocketAddr = "SocketAddr", std::cmp::Ordering = "Ordering",
}

/// Implements [`Transfer`] for types made of other types. `owns`, `copy` and `visit` see the type's parameters.
macro_rules! container {
    ([$($param:ident $(: $bound:ident $(+ $more:ident)*)?),*] $ty:ty = $path:literal,
     owns: $owns:expr, $(reaches_image: $reaches:literal,)?
     copy: |$value:ident| $copy:expr, visit: |$visited:ident, $visit:ident| $blocks:expr) => {
        // SAFETY: the standard library's type reaches only values of its parameters, which are `Transfer`, in memory
        // that it owns itself; the copy is built with this image's allocator; the description carries the parameters.
        unsafe impl<$($param: Transfer $($(+ $more)* + $bound)?),*> Transfer for $ty {
            const TYPE: &'static Type = &Type::opaque::<$ty>($path, const { &[$($param::TYPE),*] });
            const OWNS_MEMORY: bool = $owns;
            const REACHES_IMAGE: bool = false $(|| $reaches)? $(|| $param::REACHES_IMAGE)*;

            fn deep_copy(&self) -> Self {
                let $value = self;
                $copy
            }

            fn visit_memory(&self, $visit: &mut dyn FnMut(*const u8)) {
                let $visited = self;
                $blocks
            }
        }
    };
}

container!([] String = "String", owns: true,
    copy: |value| value.as_str().to_owned(), visit: |value, visit| visit(value.as_ptr()));
container!([] Box<str> = "Box<str>", owns: true,
    copy: |value| Box::from(&**value), visit: |value, visit| visit(value.as_ptr()));
container!([] OsString = "OsString", owns: true,
    copy: |value| value.as_os_str().to_owned(), visit: |value, visit| visit(value.as_encoded_bytes().as_ptr()));
container!([] PathBuf = "PathBuf", owns: true, copy: |value| Path::to_owned(value),
    visit: |value, visit| visit(value.as_os_str().as_encoded_bytes().as_ptr()));
container!([T] Vec<T> = "Vec", owns: true,
    copy: |value| copy_slice(value), visit: |value, visit| visit_slice(value, visit));
container!([T] Box<[T]> = "Box<[_]>", owns: true,
    copy: |value| copy_slice(value).into_boxed_slice(), visit: |value, visit| visit_slice(value, visit));
container!([T] VecDeque<T> = "VecDeque", owns: true, copy: |value| value.iter().map(T::deep_copy).collect(),
visit: |value, visit| {
    let (first, second) = value.as_slices();
    visit_slice(first, visit);
    visit_slice(second, visit);
});
container!([T] Box<T> = "Box", owns: true, copy: |value| Box::new(T::deep_copy(value)),
    visit: |value, visit| visit_slice(std::slice::from_ref(&**value), visit));
// A hash table without entries may be one that lies in the image as a constant.
container!([K: Eq + Hash, V] HashMap<K, V> = "HashMap", owns: true, reaches_image: true,
    copy: |value| value.iter().map(|(key, value)| (key.deep_copy(), value.deep_copy())).collect(),
    visit: |value, visit| value.iter().for_each(|(key, value)| visit_entry(key, value, visit)));
container!([K: Ord, V] BTreeMap<K, V> = "BTreeMap", owns: true,
copy: |value| value.iter().map(|(key, value)| (key.deep_copy(), value.deep_copy())).collect(),
visit: |value, visit| if value.is_empty() {
    visit_emptied_tree(value, visit);
} else {
    value.iter().for_each(|(key, value)| visit_entry(key, value, visit));
});
container!([T: Eq + Hash] HashSet<T> = "HashSet", owns: true, reaches_image: true,
    copy: |value| value.iter().map(T::deep_copy).collect(),
    visit: |value, visit| value.iter().for_each(|entry| visit_entry(entry, &(), visit)));
container!([T: Ord] BTreeSet<T> = "BTreeSet", owns: true, copy: |value| value.iter().map(T::deep_copy).collect(),
visit: |value, visit| if value.is_empty() {
    visit_emptied_tree(value, visit);
} else {
    value.iter().for_each(|entry| visit_entry(entry, &(), visit));
});
container!([T] Option<T> = "Option", owns: T::OWNS_MEMORY, copy: |value| value.as_ref().map(T::deep_copy),
    visit: |value, visit| value.iter().for_each(|value| value.visit_memory(visit)));
container!([T, E] Result<T, E> = "Result", owns: T::OWNS_MEMORY || E::OWNS_MEMORY,
copy: |value| value.as_ref().map(T::deep_copy).map_err(E::deep_copy),
visit: |value, visit| match value {
    Ok(value) => value.visit_memory(visit),
    Err(error) => error.visit_memory(visit),
});
container!([T] std::ops::Range<T> = "Range", owns: T::OWNS_MEMORY,
copy: |value| value.start.deep_copy()..value.end.deep_copy(),
visit: |value, visit| {
    value.start.visit_memory(visit);
    value.end.visit_memory(visit);
});
container!([T] std::ops::RangeInclusive<T> = "RangeInclusive", owns: T::OWNS_MEMORY,
copy: |value| copy_inclusive(value),
visit: |value, visit| {
    value.start().visit_memory(visit);
    value.end().visit_memory(visit);
});
container!([T] std::num::Wrapping<T> = "Wrapping", owns: T::OWNS_MEMORY,
    copy: |value| std::num::Wrapping(value.0.deep_copy()), visit: |value, visit| value.0.visit_memory(visit));
container!([T] std::cmp::Reverse<T> = "Reverse", owns: T::OWNS_MEMORY,
    copy: |value| std::cmp::Reverse(value.0.deep_copy()), visit: |value, visit| value.0.visit_memory(visit));
container!([T] PhantomData<T> = "PhantomData", owns: false, copy: |_value| PhantomData, visit: |_value, _visit| ());

/// Shows the block that elements lie in, and what they own.
fn visit_slice<T: Transfer>(slice: &[T], visit: &mut dyn FnMut(*const u8)) {
    visit(slice.as_ptr().cast());
    if T::OWNS_MEMORY {
        slice.iter().for_each(|element| element.visit_memory(visit));
    }
}

/// Shows the block that an entry of a map lies in, and what the entry owns.
fn visit_entry<K: Transfer, V: Transfer>(key: &K, value: &V, visit: &mut dyn FnMut(*const u8)) {
    visit(std::ptr::from_ref(key).cast());
    key.visit_memory(visit);
    value.visit_memory(visit);
}

/// Shows the block that a tree may have without entries: one that has been emptied keeps its root.
///
/// `std` does not show it. All its trees are a pointer to the root, which is null if there is none, and two numbers, so that
/// the pointer is where it is in a tree that was made for that.
fn visit_emptied_tree<T>(tree: &T, visit: &mut dyn FnMut(*const u8)) {
    static PLACE_OF_ROOT: OnceLock<Option<usize>> = OnceLock::new();
    let place = *PLACE_OF_ROOT.get_or_init(|| {
        let mut emptied = BTreeMap::from([(0u8, 0u8)]);
        emptied.clear();
        emptied.insert(0, 0);
        emptied.remove(&0);
        // SAFETY: the tree has a root, so that all its three words are initialised: the root, its height and the length.
        let words: [usize; 3] = unsafe { std::ptr::from_ref(&emptied).cast::<[usize; 3]>().read() };
        let mut roots = (0..words.len()).filter(|place| words[*place] != 0);
        roots.next().filter(|_| roots.next().is_none())
    });
    const { assert!(size_of::<T>() == size_of::<[usize; 3]>(), "a tree is not what it was") };
    if let Some(place) = place {
        // SAFETY: the pointer is initialised, also if it is null.
        visit(unsafe { std::ptr::from_ref(tree).cast::<*const u8>().add(place).read() });
    }
}

/// Copies a range together with whether it has been iterated to its end, which its bounds do not tell.
fn copy_inclusive<T: Transfer>(range: &std::ops::RangeInclusive<T>) -> std::ops::RangeInclusive<T> {
    if T::OWNS_MEMORY {
        // `std` iterates ranges of numbers, characters and addresses only; no such range has been iterated.
        return range.start().deep_copy()..=range.end().deep_copy();
    }
    // SAFETY: the range is its bounds and a flag, and `T` promises by `OWNS_MEMORY` that a copy of the bytes is a deep
    // copy.
    unsafe { std::ptr::read(range) }
}

/// Copies a slice element by element, or at once where the bytes are all there is.
fn copy_slice<T: Transfer>(slice: &[T]) -> Vec<T> {
    if T::OWNS_MEMORY {
        return slice.iter().map(T::deep_copy).collect();
    }
    let mut copy = Vec::with_capacity(slice.len());
    // SAFETY: the capacity is that of the slice, the two do not overlap, and `T` promises by `OWNS_MEMORY` that a copy
    // of the bytes is a deep copy.
    unsafe {
        std::ptr::copy_nonoverlapping(slice.as_ptr(), copy.as_mut_ptr(), slice.len());
        copy.set_len(slice.len());
    }
    copy
}

// SAFETY: an array holds its elements in place; the description carries the element and, by the size, the length.
unsafe impl<T: Transfer, const N: usize> Transfer for [T; N] {
    const TYPE: &'static Type = &Type::new(
        "array",
        size_of::<[T; N]>(),
        align_of::<[T; N]>(),
        const { &[T::TYPE, length_type::<N>()] },
        Shape::Array,
    );
    const OWNS_MEMORY: bool = T::OWNS_MEMORY;
    const REACHES_IMAGE: bool = T::REACHES_IMAGE;

    fn deep_copy(&self) -> Self {
        std::array::from_fn(|i| self[i].deep_copy())
    }

    fn visit_memory(&self, visit: &mut dyn FnMut(*const u8)) {
        self.iter().for_each(|element| element.visit_memory(visit));
    }
}

/// Stands for the length of an array: its "size" is the length, so that arrays of zero-sized elements differ too.
const fn length_type<const N: usize>() -> &'static Type {
    const { &Type::new("length", N, 1, &[], Shape::Opaque) }
}

/// Stands for a type in its own description, where a field leads back to it; `A` are the arguments that it has there.
#[doc(hidden)]
pub struct Recursion<A>(PhantomData<A>);

// SAFETY: there is one value, which owns and reaches nothing.
unsafe impl<A: Transfer> Transfer for Recursion<A> {
    const TYPE: &'static Type = &Type::opaque::<Self>("Self", A::TYPE.arguments);
    const OWNS_MEMORY: bool = false;
    const REACHES_IMAGE: bool = A::REACHES_IMAGE;

    fn deep_copy(&self) -> Self {
        Self(PhantomData)
    }

    fn visit_memory(&self, _visit: &mut dyn FnMut(*const u8)) {}
}

// What collections ask of their entries, so that they can be described with this in the place of one.

impl<A> PartialEq for Recursion<A> {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl<A> Eq for Recursion<A> {}

impl<A> PartialOrd for Recursion<A> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<A> Ord for Recursion<A> {
    fn cmp(&self, _other: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl<A> Hash for Recursion<A> {
    fn hash<H: Hasher>(&self, _state: &mut H) {}
}

/// Implements [`Transfer`] for tuples.
macro_rules! tuples {
    ($($($name:ident)*;)*) => {$(
        // SAFETY: a tuple holds its parts in place; the same compiler lays out the same tuple in the same way, and the
        // description carries the parts.
        unsafe impl<$($name: Transfer),*> Transfer for ($($name,)*) {
            const TYPE: &'static Type =
                &Type::new("tuple", size_of::<Self>(), align_of::<Self>(), const { &[$($name::TYPE),*] }, Shape::Tuple);
            const OWNS_MEMORY: bool = false $(|| $name::OWNS_MEMORY)*;
            const REACHES_IMAGE: bool = false $(|| $name::REACHES_IMAGE)*;

            #[allow(non_snake_case, clippy::unused_unit, reason = "the parts are named after their types")]
            fn deep_copy(&self) -> Self {
                let ($($name,)*) = self;
                ($($name.deep_copy(),)*)
            }

            #[allow(non_snake_case, unused_variables, reason = "the parts are named after their types; there may be none")]
            fn visit_memory(&self, visit: &mut dyn FnMut(*const u8)) {
                let ($($name,)*) = self;
                $($name.visit_memory(visit);)*
            }
        }
    )*};
}

tuples! {
    ;
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_equal_and_separate() {
        let original: HashMap<String, Vec<Option<Box<u32>>>> =
            [("a".to_owned(), vec![Some(Box::new(1)), None]), (String::new(), vec![])].into();
        let copy = original.deep_copy();
        assert_eq!(original, copy);
        assert_ne!(original["a"].as_ptr(), copy["a"].as_ptr());
    }

    #[test]
    fn an_exhausted_range_stays_exhausted() {
        let mut range = 0u32..=3;
        range.by_ref().for_each(drop);
        assert!(range.is_empty());
        assert_eq!(range.deep_copy(), range);
        assert!(range.deep_copy().is_empty());
        let names = "a".to_owned()..="b".to_owned();
        assert_eq!(names.deep_copy(), names);
    }

    #[test]
    fn every_block_is_visited() {
        #[derive(crate::Transfer)]
        enum Tree {
            Leaf(String),
            Node { children: Vec<Tree>, note: Option<Box<u32>> },
        }
        let leaf = "leaf".to_owned();
        let note = Box::new(7);
        let (in_leaf, in_note) = (leaf.as_ptr(), std::ptr::from_ref(&*note).cast::<u8>());
        let children = vec![Tree::Leaf(leaf)];
        let in_children = children.as_ptr().cast::<u8>();
        let value =
            (BTreeMap::from([("key".to_owned(), Tree::Node { children, note: Some(note) })]), [1u8; 3]);
        let in_key = value.0.keys().map(|key| key.as_ptr()).next().unwrap();
        let in_tree = value.0.keys().map(|key| std::ptr::from_ref(key).cast::<u8>()).next().unwrap();
        let mut visited = Vec::new();
        value.visit_memory(&mut |address| visited.push(address));
        visited.sort();
        let mut expected = vec![in_leaf, in_note, in_children, in_key, in_tree];
        expected.sort();
        assert_eq!(visited, expected);
    }

    #[test]
    fn a_tree_that_was_emptied_shows_its_root() {
        fn visited(value: &impl Transfer) -> Vec<*const u8> {
            let mut visited = Vec::new();
            value.visit_memory(&mut |address| visited.push(address));
            visited.retain(|address| !address.is_null());
            visited
        }
        let mut map = BTreeMap::from([("key".to_owned(), [1u64; 5])]);
        let entry = std::ptr::from_ref(map.values().next().unwrap()).cast::<u8>();
        map.remove("key");
        // The root has room for eleven entries.
        let root = visited(&map);
        assert!(root.len() == 1 && entry.addr() - root[0].addr() < 11 * (24 + 40) + 64, "{root:?} {entry:?}");
        let mut set = BTreeSet::from([7u8]);
        set.remove(&7);
        assert_eq!(visited(&set).len(), 1);
        let (no_map, no_set) = (BTreeMap::<u8, String>::new(), BTreeSet::<String>::new());
        assert_eq!((visited(&no_map), visited(&no_set)), (vec![], vec![]));
    }

    #[test]
    fn plain_values_own_nothing() {
        const { assert!(!<(u8, [Option<char>; 3])>::OWNS_MEMORY) };
        const { assert!(<(u8, [Option<String>; 3])>::OWNS_MEMORY) };
    }

    #[test]
    fn fingerprints_see_values_of_enums_and_of_constants() {
        mod first {
            #[derive(crate::Transfer)]
            pub enum Level {
                Low = 1,
                High = 2,
            }
        }
        mod second {
            #[derive(crate::Transfer)]
            pub enum Level {
                Low = 2,
                High = 1,
            }
        }
        assert_eq!(values(first::Level::TYPE), [1, 2]);
        assert_eq!(values(second::Level::TYPE), [2, 1]);

        #[derive(crate::Transfer)]
        struct Id<const KIND: u32>(u64);
        assert_ne!(<Id<1>>::TYPE.fingerprint, <Id<2>>::TYPE.fingerprint);
    }

    /// The values of an enum's variants.
    fn values(ty: &Type) -> Vec<i128> {
        match ty.shape {
            Shape::Enum(variants) => variants.iter().map(|variant| variant.discriminant).collect(),
            _ => panic!("not an enum"),
        }
    }

    #[test]
    fn fingerprints_see_the_values_behind_names() {
        /// Two definitions that read alike, with other values for the names in them.
        macro_rules! command {
            ($module:ident, $first:literal, $second:literal) => {
                mod $module {
                    pub const FIRST: u8 = $first;
                    pub const SECOND: u8 = $second;

                    #[derive(crate::Transfer)]
                    #[repr(u8)]
                    pub enum Command {
                        Keep(u8) = FIRST,
                        Next {},
                        Delete() = SECOND,
                    }
                }
            };
        }
        command!(one, 1, 10);
        command!(other, 10, 1);
        assert_eq!(values(one::Command::TYPE), [1, 2, 10]);
        assert_eq!(values(other::Command::TYPE), [10, 11, 1]);
        assert_ne!(one::Command::TYPE.fingerprint, other::Command::TYPE.fingerprint);
        let _ = [one::Command::Keep(1), one::Command::Next {}, one::Command::Delete()];
        let _ = [other::Command::Keep(1), other::Command::Next {}, other::Command::Delete()];

        #[derive(crate::Transfer)]
        enum Signed {
            Low = -5,
            Next,
            High = 100,
        }
        assert_eq!(values(Signed::TYPE), [-5, -4, 100]);
        let _ = [Signed::Low, Signed::Next, Signed::High];
    }

    #[test]
    fn fingerprints_see_whole_constants_in_their_places() {
        #[derive(crate::Transfer)]
        struct Tagged<
            const TAG: u128,
            const SIGNED: i64 = 0,
            const LETTER: char = 'a',
            const FLAG: bool = false,
        >;
        let fingerprints = [
            <Tagged<1>>::TYPE,
            <Tagged<{ 1 << 64 }>>::TYPE,
            <Tagged<{ 1 + (1 << 64) }>>::TYPE,
            <Tagged<{ u128::MAX }>>::TYPE,
            <Tagged<0, 1>>::TYPE,
            <Tagged<0, -1>>::TYPE,
            <Tagged<0, 0, 'b'>>::TYPE,
            <Tagged<0, 0, 'a', true>>::TYPE,
            <Tagged<0>>::TYPE,
        ]
        .map(|ty| ty.fingerprint);
        let different: std::collections::BTreeSet<_> = fingerprints.into_iter().collect();
        assert_eq!(different.len(), fingerprints.len());
    }

    #[test]
    fn default_parameters_stay_where_they_are_declared() {
        #[derive(crate::Transfer)]
        struct Pair<A, B = A> {
            first: A,
            second: B,
        }
        assert_eq!(fields(<Pair<u8>>::TYPE)[1].fingerprint, u8::TYPE.fingerprint);
        assert_eq!(fields(<Pair<u8, u16>>::TYPE)[1].fingerprint, u16::TYPE.fingerprint);
    }

    /// The descriptions of a struct's fields.
    fn fields(ty: &'static Type) -> Vec<&'static Type> {
        match ty.shape {
            Shape::Struct(fields) => fields.iter().map(|field| field.ty).collect(),
            _ => panic!("not a struct"),
        }
    }

    #[test]
    fn a_type_of_the_same_name_is_another_type() {
        mod v1 {
            #[derive(crate::Transfer)]
            pub struct Config {
                pub verbose: bool,
            }
        }
        #[derive(crate::Transfer)]
        struct Config {
            base: v1::Config,
        }
        assert_eq!(fields(Config::TYPE)[0].fingerprint, v1::Config::TYPE.fingerprint);
    }

    #[test]
    fn what_is_around_a_recursion_is_described() {
        #[derive(crate::Transfer)]
        struct Pairs<T> {
            pairs: Vec<(T, u8)>,
        }
        #[derive(crate::Transfer)]
        struct Node {
            children: Vec<(Node, u8)>,
            others: Vec<(Self, bool)>,
            units: Vec<(Node, ())>,
            by_name: BTreeMap<String, Box<Node>>,
            pairs: Pairs<Node>,
        }
        #[derive(crate::Transfer)]
        struct Generic<T, const N: usize> {
            value: T,
            same: Vec<Generic<T, N>>,
            other: Option<Box<Generic<u8, N>>>,
        }
        let node = fields(Node::TYPE);
        assert_eq!(node[0].fingerprint, <Vec<(Recursion<()>, u8)>>::TYPE.fingerprint);
        assert_eq!(node[1].fingerprint, <Vec<(Recursion<()>, bool)>>::TYPE.fingerprint);
        assert_ne!(node[2].fingerprint, <Vec<((), Recursion<()>)>>::TYPE.fingerprint);
        assert_eq!(node[3].fingerprint, <BTreeMap<String, Box<Recursion<()>>>>::TYPE.fingerprint);
        assert_eq!(fields(node[4])[0].fingerprint, <Vec<(Recursion<()>, u8)>>::TYPE.fingerprint);
        let generic = fields(<Generic<String, 3>>::TYPE);
        assert_eq!(generic[1].fingerprint, <Vec<Recursion<(String,)>>>::TYPE.fingerprint);
        assert_eq!(generic[2].fingerprint, <Option<Box<Recursion<(u8,)>>>>::TYPE.fingerprint);
        const { assert!(Node::OWNS_MEMORY && !Node::REACHES_IMAGE) };
    }

    #[test]
    fn fingerprints_see_representations() {
        mod plain {
            #[derive(crate::Transfer)]
            pub enum Event {
                Key(u32),
                End,
            }
        }
        mod tagged {
            #[derive(crate::Transfer)]
            #[repr(C)]
            #[repr(u8)]
            pub enum Event {
                Key(u32),
                End,
            }
        }
        assert_eq!((plain::Event::TYPE.repr, tagged::Event::TYPE.repr), ("", "C, u8"));
        let _ = [plain::Event::Key(0), plain::Event::End];
        let _ = [tagged::Event::Key(0), tagged::Event::End];
    }

    #[test]
    fn fingerprints_tell_types_apart() {
        let fingerprints = [
            <Vec<u8>>::TYPE,
            <Vec<i8>>::TYPE,
            <VecDeque<u8>>::TYPE,
            <[u8; 2]>::TYPE,
            <[u8; 3]>::TYPE,
            <[(); 2]>::TYPE,
            <[(); 3]>::TYPE,
            <(u8, u8)>::TYPE,
            <Option<u8>>::TYPE,
            <Result<u8, ()>>::TYPE,
            <Result<(), u8>>::TYPE,
        ]
        .map(|ty| ty.fingerprint);
        let different: std::collections::BTreeSet<_> = fingerprints.into_iter().collect();
        assert_eq!(different.len(), fingerprints.len());
    }
}
