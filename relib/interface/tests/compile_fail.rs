//! What must not compile, with what the compiler says about it.
//!
//! After a new compiler has changed its words: `TRYBUILD=overwrite cargo test -p relib_interface --test compile_fail`.

#[test]
fn what_may_not_cross_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
