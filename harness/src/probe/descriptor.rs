//! Descriptors as the system shows them.

/// An open descriptor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Descriptor {
    /// Its number.
    pub number: i32,
    /// Where `/proc/self/fd/N` points to.
    pub target: String,
}

impl Descriptor {
    /// `file`, `socket`, `pipe`, ...
    pub fn kind(&self) -> &str {
        match self.target.split_once(':') {
            _ if self.target.starts_with('/') => "file",
            Some((kind, _)) => kind,
            None => "unknown",
        }
    }
}
