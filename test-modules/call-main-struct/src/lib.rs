//! Has a `main` that returns a struct.

use fixture_interface::exports_imports::Summary;

#[relib_module::export]
fn main() -> Summary {
    Summary { title: "a title".to_owned(), count: u32::MAX }
}
