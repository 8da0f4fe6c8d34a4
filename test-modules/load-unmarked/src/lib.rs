//! Is a Rust library without relib.

/// Something to export.
#[unsafe(no_mangle)]
pub extern "C" fn answer() -> u32 {
    42
}
