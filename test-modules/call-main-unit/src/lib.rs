//! Has a `main` that returns nothing.

#[relib_module::export]
fn main() {}
