//! Code of one image that the other would keep.

#[relib_interface::interface]
pub trait Exports {
    fn later(task: Box<dyn Fn()>);
    fn now(task: fn());
}

fn main() {}
