//! Names that take a lifetime and hide that the reference behind them has another.

pub type Name<'a> = &'static str;

pub trait Family<'a> {
    type Out;
}

pub struct Forever;

impl<'a> Family<'a> for Forever {
    type Out = &'static str;
}

#[relib_interface::interface]
pub trait Exports {
    fn name<'a>() -> Name<'a>;
}

#[relib_interface::interface(imports)]
pub trait Imports {
    fn keep<'a>(text: Name<'a>);
    fn keep_too<'a>(text: <Forever as Family<'a>>::Out);
}

fn main() {}
