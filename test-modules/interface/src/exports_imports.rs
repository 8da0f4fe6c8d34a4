//! Interfaces of the fixtures for "Imports and exports".

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use relib_interface::{Transfer, interface};

/// Returns what it was given, for each primitive type.
#[interface]
#[allow(missing_docs, reason = "each function returns its argument")]
pub trait Primitives {
    fn echo_u8(value: u8) -> u8;
    fn echo_u16(value: u16) -> u16;
    fn echo_u32(value: u32) -> u32;
    fn echo_u64(value: u64) -> u64;
    fn echo_u128(value: u128) -> u128;
    fn echo_usize(value: usize) -> usize;
    fn echo_i8(value: i8) -> i8;
    fn echo_i16(value: i16) -> i16;
    fn echo_i32(value: i32) -> i32;
    fn echo_i64(value: i64) -> i64;
    fn echo_i128(value: i128) -> i128;
    fn echo_isize(value: isize) -> isize;
    fn echo_f32(value: f32) -> f32;
    fn echo_f64(value: f64) -> f64;
    fn echo_bool(value: bool) -> bool;
    fn echo_char(value: char) -> char;
    fn echo_unit(value: ());
    /// More parameters than there are registers, of every register class: they are joined as text.
    #[allow(clippy::too_many_arguments, reason = "the number of parameters is what is tested")]
    fn join(
        a: u8,
        b: f32,
        c: i128,
        d: bool,
        e: u64,
        f: char,
        g: f64,
        h: i16,
        i: (),
        j: u128,
        k: i8,
        l: f64,
    ) -> String;
}

/// Returns what it was given, for each kind of text.
#[interface]
pub trait Strings {
    /// From borrowed to owned.
    fn own(text: &str) -> String;
    /// From owned to owned.
    fn echo(text: String) -> String;
    /// Many small blocks.
    fn echo_all(texts: Vec<String>) -> Vec<String>;
    /// A borrowed slice of owned texts.
    fn concat(texts: &[String]) -> String;
    /// A path, which need not be UTF-8.
    fn own_path(path: &Path) -> PathBuf;
}

/// Plain data.
#[derive(Clone, Copy, Debug, PartialEq, Transfer)]
pub struct Point {
    /// Across.
    pub x: f64,
    /// Up.
    pub y: f64,
}

/// Nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Transfer)]
pub struct Nothing;

/// More strictly aligned than any register.
#[derive(Clone, Copy, Debug, PartialEq, Transfer)]
#[repr(align(128))]
pub struct Aligned(pub u8);

/// An enum with each kind of variant.
#[derive(Clone, Debug, PartialEq, Transfer)]
pub enum Figure {
    /// Without data.
    Empty,
    /// With unnamed data.
    Circle(Point, f64),
    /// With named data that owns memory.
    Polygon {
        /// The corners.
        corners: Vec<Point>,
        /// What it is called.
        label: Option<String>,
    },
}

/// A type that contains itself.
#[derive(Clone, Debug, PartialEq, Transfer)]
pub enum Tree {
    /// An end.
    Leaf(String),
    /// More of the same.
    Node(Vec<Tree>),
}

/// A generic struct.
#[derive(Clone, Debug, PartialEq, Transfer)]
pub struct Pair<A, B> {
    /// One.
    pub first: A,
    /// And another.
    pub second: B,
}

/// What contains all of the above, and each collection.
#[derive(Clone, Debug, PartialEq, Transfer)]
pub struct Everything {
    /// An array of enums.
    pub figures: [Figure; 3],
    /// A recursive type.
    pub tree: Tree,
    /// A generic type in itself.
    pub pair: Pair<Pair<u8, String>, Nothing>,
    /// Blocks with a strict alignment.
    pub aligned: Vec<Aligned>,
    /// Elements without size.
    pub nothings: Vec<Nothing>,
    /// Hashed with the sender's keys, which the receiver does not have.
    pub map: HashMap<String, Vec<u64>>,
    /// Sorted.
    pub sorted: BTreeMap<u32, Box<str>>,
    /// Hashed.
    pub set: HashSet<char>,
    /// Sorted.
    pub sorted_set: BTreeSet<Option<i8>>,
    /// A ring buffer.
    pub ring: VecDeque<(u8, String)>,
    /// A range.
    pub range: Range<usize>,
    /// An error in a box.
    pub result: Result<Box<u32>, Box<[String]>>,
    /// A time.
    pub time: Duration,
}

/// Returns what it was given, for types of this crate.
#[interface]
pub trait Structs {
    /// In registers or in memory, as the layout has it.
    fn echo_point(value: Point) -> Point;
    /// A value without size.
    fn echo_nothing(value: Nothing) -> Nothing;
    /// On an aligned place of the stack.
    fn echo_aligned(value: Aligned) -> Aligned;
    /// An enum.
    fn echo_figure(value: Figure) -> Figure;
    /// Every type at once.
    fn echo_everything(value: Everything) -> Everything;
    /// The same by reference.
    fn copy_everything(value: &Everything) -> Everything;
    /// A generic type as the outermost.
    fn swap(value: Pair<u32, Option<String>>) -> Pair<Option<String>, u32>;
    /// The address of a value that was passed by reference, modulo its alignment.
    fn misalignment(value: &Aligned) -> usize;
}

/// Owns no memory, and so is changed in place.
#[derive(Clone, Copy, Debug, PartialEq, Transfer)]
pub struct Counter {
    /// How many steps were made.
    pub steps: u64,
    /// The last few of them.
    pub history: [u64; 4],
}

/// Works on what the host owns, without copying it.
#[interface]
pub trait Borrowed {
    /// Changes the host's value in place, and says where it is.
    fn step(counter: &mut Counter) -> usize;
    /// Sorts the host's slice in place.
    fn sort(numbers: &mut [u32]);
    /// Returns a part of the host's text.
    fn first_word(text: &str) -> &str;
    /// Returns a part of one of two slices.
    fn longer<'a>(one: &'a [u32], other: &'a [u32]) -> &'a [u32];
    /// Returns something of the module's own.
    fn motto() -> &'static str;
}

/// Owns memory in several ways.
#[derive(Clone, Debug, Default, PartialEq, Transfer)]
pub struct World {
    /// Grows.
    pub names: Vec<String>,
    /// Grows too, and what is in it does.
    pub scores: HashMap<String, Vec<u64>>,
}

/// Changes host values that own memory.
#[interface]
pub trait MutOwned {
    /// Adds `count` names and a score for each to the lists of scores.
    fn grow(world: &mut World, count: u64);
    /// Adds to each of several values.
    fn grow_all(worlds: &mut [World], count: u64);
    /// Grows, empties a part, and panics half way.
    fn grow_and_panic(world: &mut World, count: u64);
}

/// Calls back into the host.
#[interface]
pub trait Countdown {
    /// Goes down to zero by way of [`Host::continue_from`], and returns the way: "3 2 1 0".
    fn count_from(number: u32) -> String;
}

/// What the fixture of [`Countdown`] imports.
#[interface(imports)]
pub trait Host {
    /// Calls [`Countdown::count_from`] of the module that is calling.
    fn continue_from(number: u32) -> String;
    /// A borrowed text that is in the host.
    fn greeting() -> &'static str;
}

/// Returned by `main`.
#[derive(Clone, Debug, PartialEq, Transfer)]
pub struct Summary {
    /// A text.
    pub title: String,
    /// A number.
    pub count: u32,
}

/// One of two interfaces of one module.
#[interface]
pub trait Left {
    /// Names this interface.
    fn left() -> String;
}

/// The other.
#[interface]
pub trait Right {
    /// Names this interface.
    fn right() -> String;
}
