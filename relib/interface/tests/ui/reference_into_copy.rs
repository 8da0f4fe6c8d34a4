//! The module gets a copy of the list, and a reference into that copy would dangle.

#[relib_interface::interface]
pub trait Exports {
    fn last<'a>(list: &'a mut Vec<String>) -> &'a str;
}

fn main() {}
