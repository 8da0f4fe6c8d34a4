//! The same code without relib: what `libloading` loads.

/// Adds.
#[unsafe(no_mangle)]
pub extern "C" fn bench_add(a: u64, b: u64) -> u64 {
    workload::add(a, b)
}

/// Makes a text of a text, as safe as a call between libraries of one compiler gets: not at all.
#[unsafe(no_mangle)]
pub fn bench_text(text: &str) -> String {
    workload::text(text)
}

/// See `workload`.
#[unsafe(no_mangle)]
pub extern "C" fn bench_pairs(count: u64) -> u64 {
    workload::pairs(count)
}

/// See `workload`.
#[unsafe(no_mangle)]
pub extern "C" fn bench_shuffled(count: u64) -> u64 {
    workload::shuffled(count)
}

/// See `workload`.
#[unsafe(no_mangle)]
pub extern "C" fn bench_pairs_on_threads(count: u64) -> u64 {
    workload::pairs_on_threads(count)
}

/// See `workload`.
#[unsafe(no_mangle)]
pub extern "C" fn bench_leak(count: u64) -> u64 {
    workload::leak(count)
}
