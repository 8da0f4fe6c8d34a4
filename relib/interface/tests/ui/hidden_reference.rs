//! A name that hides how long a reference lives.

type Text = &'static str;

#[relib_interface::interface]
pub trait Exports {
    fn name() -> Text;
}

#[relib_interface::interface(imports)]
pub trait Imports {
    fn keep(text: Text);
}

fn main() {}
