//! The binary contract between a relib host and a relib module, and the only place where it is defined.
//!
//! A host and a module are separate images with separate copies of `std`, separate global allocators and separate
//! statics. What both of them must agree on stands here, but for how values of each type cross, which is `relib_interface`'s:
//! - [`metadata`]: what a module's file says of itself, readable without loading it;
//! - [`schema`]: descriptions of the types and functions that cross the boundary, and their fingerprints;
//! - [`call`]: how one call crosses, and how a panic is carried back;
//! - [`entry`]: the tables that the two images hand to each other when a module is loaded;
//! - [`symbol`]: the names of the exported symbols that a module may have.
//!
//! This crate must know nothing of how either side does its work: no operating system, no allocator, no loader. It is
//! `no_std`, has no dependencies and contains no platform code other than the `repr(C)` tables in [`entry`].

#![no_std]

pub mod call;
pub mod entry;
pub mod metadata;
pub mod schema;
pub mod symbol;
#[cfg(windows)]
pub mod windows;

/// Version of the contract. A host loads only modules whose metadata carries the same number.
///
/// It is raised whenever something changes that one image does and the other relies on:
/// - a `repr(C)` type of this crate, a metadata record, what a fingerprint covers, or the meaning of any of them;
/// - how values cross: the wire forms and the thunks' signatures, which `relib_interface` and its macros make;
/// - the names of sections and symbols.
///
/// Beside this number the versions of relib must be equal too, at least before 1.0.
pub const ABI_VERSION: u32 = 6;

/// The version of the relib crates, from the workspace's manifest.
pub const RELIB_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The compiler that built this image: version, commit and LLVM version.
///
/// Layouts of `repr(Rust)` types are only comparable between images built by the same compiler.
pub const RUSTC_VERSION: &str = env!("RELIB_RUSTC");

/// The target triple that this image was built for.
pub const TARGET: &str = env!("RELIB_TARGET");
