//! A reference count that both sides would change.

use std::rc::Rc;

#[relib_interface::interface]
pub trait Exports {
    fn share(text: Rc<String>);
    fn give() -> Rc<String>;
}

fn main() {}
