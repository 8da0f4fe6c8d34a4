//! Implements two interfaces.

use fixture_interface::exports_imports::{Left, Right};

#[relib_module::export]
impl Left for LeftImpl {
    fn left() -> String {
        "left".to_owned()
    }
}

#[relib_module::export]
impl Right for RightImpl {
    fn right() -> String {
        "right".to_owned()
    }
}
