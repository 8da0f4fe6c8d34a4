//! The module of relib.

use bench_interface::Exports;

static VERSION: [u8; 16] = workload::VERSION;

#[relib_module::export]
impl Exports for ModuleExportsImpl {
    fn add(a: u64, b: u64) -> u64 {
        workload::add(a, b)
    }

    fn text(text: &str) -> String {
        workload::text(text)
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

    fn version() -> u64 {
        workload::version(&VERSION)
    }
}
