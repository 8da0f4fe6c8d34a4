//! The description of an interface must not depend on what the compiler sees later.

#[relib_interface::interface]
pub trait Exports {
    #[cfg(any())]
    fn sometimes(x: u32);
}

#[relib_interface::interface]
pub trait Others {
    fn always(#[cfg_attr(any(), cfg(any()))] x: u32);
}

fn main() {}
