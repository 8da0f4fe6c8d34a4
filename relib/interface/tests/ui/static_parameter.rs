//! The receiver could keep such a reference when its target is gone.

use relib_interface::interface;

#[interface]
pub trait Exports {
    fn keep(text: &'static str) -> &'static str;
}

#[interface(imports)]
pub trait Imports {
    fn keep(text: &'static [u8]);
}

#[interface]
pub trait Bound {
    fn keep<'a: 'static>(text: &'a str);
}

#[interface]
pub trait Clause {
    fn keep<'a>(text: &'a str)
    where
        'a: 'static;
}

fn main() {}
