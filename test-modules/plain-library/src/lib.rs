//! A library that knows nothing of relib, for modules that open it or are linked with it.

/// A number that callers know.
#[unsafe(no_mangle)]
pub extern "C" fn fixture_answer() -> u64 {
    42
}
