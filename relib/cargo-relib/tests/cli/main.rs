//! `cargo relib` as people use it: the built program, real projects and modules, a real terminal.
//!
//! Nothing here edits a tracked file: projects are made in directories of their own.

mod check;
// The terminal of these tests is one of Unix.
#[cfg(unix)]
mod dev;
mod inspect;
mod new;
mod support;
