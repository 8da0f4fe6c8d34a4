//! Grows collections of the host.

use fixture_interface::exports_imports::{MutOwned, World};

fn add(world: &mut World, count: u64) {
    for number in 0..count {
        world.names.push(format!("a name that is long enough to be on the heap: {number}"));
        world.scores.entry(format!("player {}", number % 10)).or_default().push(number);
    }
}

#[relib_module::export]
impl MutOwned for MutOwnedImpl {
    fn grow(world: &mut World, count: u64) {
        add(world, count);
    }

    fn grow_all(worlds: &mut [World], count: u64) {
        worlds.iter_mut().for_each(|world| add(world, count));
    }

    fn grow_and_panic(world: &mut World, count: u64) {
        add(world, count);
        world.scores.clear();
        panic!("half way, with {} names", world.names.len());
    }
}
