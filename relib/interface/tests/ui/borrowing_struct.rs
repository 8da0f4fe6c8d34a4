//! A value that points to what its sender owns.

#[derive(relib_interface::Transfer)]
pub struct Name<'a> {
    text: &'a str,
}

fn main() {}
