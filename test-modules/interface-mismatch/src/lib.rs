//! Was built with another version of the crate that it shares with the host.

use fixture_interface::mismatch::{
    Command, Constants, Event, Field, KIND, Layout, Missing, Player, Signature, Superset, Tagged, Team,
    Values,
};

#[relib_module::export]
impl Signature for SignatureImpl {
    fn name() -> String {
        "signature".to_owned()
    }

    fn scale(value: u64, factor: u32) -> u64 {
        value * u64::from(factor)
    }
}

#[relib_module::export]
impl Missing for MissingImpl {
    fn first() -> String {
        "first".to_owned()
    }
}

#[relib_module::export]
impl Field for FieldImpl {
    fn strongest(team: &Team) -> Option<String> {
        team.players.iter().max_by_key(|player| player.health).map(|player| player.name.clone())
    }
}

#[relib_module::export]
impl Layout for LayoutImpl {
    fn damage(event: &Event) -> u32 {
        match event {
            Event::Hit(damage) => *damage,
            Event::End => 0,
        }
    }
}

#[relib_module::export]
impl Superset for SupersetImpl {
    fn beta() -> String {
        "beta".to_owned()
    }

    fn gamma() -> String {
        "gamma".to_owned()
    }

    fn alpha() -> String {
        "alpha".to_owned()
    }
}

#[relib_module::export]
fn main() -> (Vec<Player>, Option<u64>) {
    (Vec::new(), None)
}

#[relib_module::export]
impl Values for ValuesImpl {
    fn obey(command: &Command) -> u8 {
        match command {
            Command::Keep(what) | Command::Delete(what) => *what,
        }
    }
}

#[relib_module::export]
impl Constants for ConstantsImpl {
    fn untag(tagged: Tagged<KIND>) -> u64 {
        tagged.value
    }
}
