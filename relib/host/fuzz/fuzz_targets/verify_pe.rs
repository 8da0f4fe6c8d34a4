//! The verifier of PE files must come to a verdict about any bytes: it neither panics nor runs for long nor takes much
//! memory.
//!
//! Nothing is loaded: the verifier's sources are compiled into this program alone. A corpus of real modules makes the
//! fuzzer reach the inner tables, for example the fixtures that `cargo xtask test-matrix --platform windows` has built:
//! `cargo +nightly fuzz run verify_pe ../../target/windows/x86_64-pc-windows-gnu/release`.

#![no_main]
#![allow(dead_code, unused_imports, reason = "the fuzzer only asks for the verdict")]

#[path = "../../src/image/mod.rs"]
mod image;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let source = image::source::Source::new(bytes, bytes.len() as u64);
    let _ = image::pe::inspect(&source, "__relib_");
});
