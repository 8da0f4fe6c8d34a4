//! Works on a state that lies in a heap of its own, in good and in bad ways.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread;

use fixture_interface::reload::{World, Worlds};
use relib_interface::StateMut;
use relib_module::ChangeState;

/// What the module keeps for itself of what it allocated in a scope.
static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Its tree keeps memory without entries.
static EMPTIED: Mutex<World> = Mutex::new(World { names: Vec::new(), places: BTreeMap::new(), ticks: 0 });

fn emptied<R>(body: impl FnOnce(&mut World) -> R) -> R {
    body(&mut EMPTIED.lock().unwrap_or_else(PoisonError::into_inner))
}

fn kept<R>(body: impl FnOnce(&mut Vec<String>) -> R) -> R {
    body(&mut KEPT.lock().unwrap_or_else(PoisonError::into_inner))
}

#[relib_module::export]
impl Worlds for WorldsImpl {
    fn tick(mut world: StateMut<'_, World>, name: &str) -> Vec<String> {
        world.init((), |()| World::default());
        world.change(name.to_owned(), |world, name| {
            world.ticks += 1;
            world.places.entry(name.clone()).or_default().push(world.ticks);
            world.names.push(name);
            world.names.clone()
        })
    }

    fn describe(world: &World) -> String {
        format!("{world:?}")
    }

    fn panic_midway(mut world: StateMut<'_, World>) {
        world.change((), |world, ()| {
            world.names.push("before the panic".to_owned());
            assert!(world.names.is_empty(), "midway");
        });
    }

    fn start_thread_inside(mut world: StateMut<'_, World>) -> Option<String> {
        world.change((), |_, ()| match thread::Builder::new().spawn(|| ()) {
            Ok(thread) => {
                thread.join().unwrap();
                None
            }
            Err(error) => Some(format!("{:?}", error.kind())),
        })
    }

    fn keep(mut world: StateMut<'_, World>) {
        world.change((), |_, ()| {
            kept(|kept| kept.extend((0..100).map(|n| format!("kept by the module: {n}"))))
        });
    }

    fn give_own(mut world: StateMut<'_, World>, name: &str) {
        kept(|kept| kept.push(name.to_owned()));
        world.change((), |world, ()| world.names.extend(kept(Vec::pop)));
    }

    fn take_names(mut world: StateMut<'_, World>) {
        world.change((), |world, ()| kept(|kept| *kept = std::mem::take(&mut world.names)));
    }

    fn put_names(mut world: StateMut<'_, World>) {
        world.change((), |world, ()| kept(|kept| world.names = std::mem::take(kept)));
    }

    fn give_emptied(mut world: StateMut<'_, World>) {
        emptied(|emptied| {
            emptied.places.insert("a place".to_owned(), Vec::new());
            emptied.places.remove("a place");
        });
        world.change((), |world, ()| world.places = emptied(|emptied| std::mem::take(&mut emptied.places)));
    }

    fn renew(mut world: StateMut<'_, World>) {
        world.change((), |world, ()| *world = world.clone());
    }

    fn kept() -> usize {
        // Grows outside the scope, which moves the block to the module's heap, and shrinks again.
        kept(|kept| {
            kept.reserve(10_000);
            kept.shrink_to_fit();
            kept.iter().filter(|line| line.starts_with("kept by the module")).count()
        })
    }
}
