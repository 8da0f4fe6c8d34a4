//! What the host and the module of relib share.

/// What the module does; see `workload`.
#[relib_interface::interface]
pub trait Exports {
    fn add(a: u64, b: u64) -> u64;
    fn text(text: &str) -> String;
    fn pairs(count: u64) -> u64;
    fn shuffled(count: u64) -> u64;
    fn pairs_on_threads(count: u64) -> u64;
    fn leak(count: u64) -> u64;
    fn version() -> u64;
}

/// What the module does not have: a host that asks for it is refused, when everything about the file has been checked.
#[relib_interface::interface]
pub trait Absent {
    fn nothing();
}
