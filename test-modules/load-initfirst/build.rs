//! Marks the library as one whose constructors run before those of every other, which relib does not support.

fn main() {
    println!("cargo::rustc-link-arg-cdylib=-Wl,-z,initfirst");
}
