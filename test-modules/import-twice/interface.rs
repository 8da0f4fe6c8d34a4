//! An interface that is linked into one module twice.

/// What the module calls by both.
#[relib_interface::interface(imports)]
pub trait Words {
    /// The next word.
    fn next() -> String;
}
