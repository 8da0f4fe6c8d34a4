//! Everything that is wrong with an interface is said at once.

#[relib_interface::interface]
pub trait Exports {
    fn generic<T>(value: T);
    fn fine(value: u32);
    async fn later();
    const NUMBER: u32;
    fn method(&self);
}

fn main() {}
