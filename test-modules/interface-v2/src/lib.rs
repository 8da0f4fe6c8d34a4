//! What `../interface` looks like after somebody changed it and built only the module again.

pub mod mismatch;
