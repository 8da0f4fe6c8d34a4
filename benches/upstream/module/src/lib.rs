//! The module of upstream's relib.

relib_interface::include_exports!();
relib_interface::include_imports!();

#[relib_module::export]
fn main() {}

impl upstream_interface::exports::Exports for gen_exports::ModuleExportsImpl {
    fn add(a: u64, b: u64) -> u64 {
        workload::add(a, b)
    }

    fn pairs(count: u64) -> u64 {
        workload::pairs(count)
    }

    fn shuffled(count: u64) -> u64 {
        workload::shuffled(count)
    }

    fn pairs_on_threads(count: u64) -> u64 {
        workload::pairs_on_threads(count)
    }

    fn leak(count: u64) -> u64 {
        workload::leak(count)
    }
}
