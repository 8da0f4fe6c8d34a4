//! A function that would have to be compiled for types that the other side chooses.

#[relib_interface::interface]
pub trait Exports {
    fn show<T: ToString>(value: T) -> String;
}

fn main() {}
