//! Both sides would drop their copy.

#[derive(relib_interface::Transfer)]
pub struct Guard {
    number: u32,
}

impl Drop for Guard {
    fn drop(&mut self) {}
}

fn main() {}
