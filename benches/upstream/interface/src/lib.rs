//! What the host and the module of upstream's relib share. Its build scripts read the sources of the traits.

pub mod exports;
pub mod imports;

/// The source of [`exports`].
pub const EXPORTS: &str = include_str!("exports.rs");
/// The source of [`imports`].
pub const IMPORTS: &str = include_str!("imports.rs");
