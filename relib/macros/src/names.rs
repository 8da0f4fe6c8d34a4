//! Names for what expansions define.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A name that no other expansion gets in any crate that is linked into the same image.
pub fn unique_name() -> String {
    static EXPANSIONS: AtomicUsize = AtomicUsize::new(0);
    let number = EXPANSIONS.fetch_add(1, Ordering::Relaxed);
    // Cargo sets the variable for each compiler run, which expands the macros of one crate in their order.
    format!("{}_{number}", std::env::var("CARGO_CRATE_NAME").unwrap_or_default())
}
