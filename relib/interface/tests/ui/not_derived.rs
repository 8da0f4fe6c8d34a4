//! A type that nobody has said may cross.

pub struct Player {
    pub score: u64,
}

#[relib_interface::interface]
pub trait Exports {
    fn best(players: Vec<Player>) -> Player;
}

fn main() {}
