//! A value that points into an image.

#[derive(relib_interface::Transfer)]
pub struct Name {
    text: &'static str,
}

fn main() {}
