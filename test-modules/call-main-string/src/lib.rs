//! Has a `main` that returns a text.

#[relib_module::export]
fn main() -> String {
    format!("text of {}", env!("CARGO_PKG_NAME"))
}
