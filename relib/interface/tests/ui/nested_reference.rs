//! A reference inside what crosses by value.

#[relib_interface::interface]
pub trait Exports {
    fn list<'a>(names: Vec<&'a str>);
}

fn main() {}
