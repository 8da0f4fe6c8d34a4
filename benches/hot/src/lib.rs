//! The library of hot-lib-reloader.

static VERSION: [u8; 16] = *b"bench-version-01";

/// The version of this library; see `workload`, which a library of this kind cannot use without sharing it with its host.
#[unsafe(no_mangle)]
pub fn hot_version() -> u64 {
    // SAFETY: a reference can be read. Volatile, because the compiler must not know what it will find.
    let text = unsafe { std::ptr::read_volatile(&VERSION) };
    u64::from(text[14] - b'0') * 10 + u64::from(text[15] - b'0')
}
