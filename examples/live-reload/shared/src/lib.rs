use relib_interface::interface;

#[interface]
pub trait Exports {
    fn greet(name: &str) -> String;
}
