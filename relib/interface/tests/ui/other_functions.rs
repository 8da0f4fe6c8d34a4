//! Functions that an interface cannot have, each with its reason.

use relib_interface::interface;

#[interface]
pub trait Method {
    fn name(&self) -> String;
}

#[interface]
pub trait Async {
    async fn wait();
}

#[interface]
pub trait Unsafe {
    unsafe fn poke(address: usize);
}

#[interface]
pub trait Constant {
    const NUMBER: u32;
}

#[interface]
pub trait Generic<T> {
    fn count() -> u32;
}

#[interface]
pub trait Implied {
    fn names() -> impl Iterator<Item = String>;
}

#[interface(both)]
pub trait Direction {}

fn main() {}
