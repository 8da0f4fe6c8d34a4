//! What the module does; see `workload`.

pub trait Exports {
    fn add(a: u64, b: u64) -> u64;
    fn pairs(count: u64) -> u64;
    fn shuffled(count: u64) -> u64;
    fn pairs_on_threads(count: u64) -> u64;
    fn leak(count: u64) -> u64;
}
