//! A bound of an import is the caller's to keep.

#[relib_interface::interface(imports)]
pub trait Imports {
    fn pick<'a, 'b>(short: &'a str, long: &'b str) -> &'b str
    where
        'a: 'b;
}

fn outlive(long: &str) -> &str {
    let short = String::from("short");
    ModuleImports::pick(&short, long)
}

fn main() {}
