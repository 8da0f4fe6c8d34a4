//! Three states: one of the host, one in a heap of its own, and one that is handed over from build to build.

use std::sync::Mutex;

use relib_interface::StateMut;
use relib_module::{ChangeState, Transfer};
use serde::{Deserialize, Serialize};
use shared::{Exports, Score, World};

/// Owned by the module, and handed over to its next build as bytes.
#[derive(Clone, Debug, Default, Transfer, Serialize, Deserialize)]
struct Own {
    ticks: u64,
}

static OWN: Mutex<Own> = Mutex::new(Own { ticks: 0 });

#[relib_module::save_state]
fn save() -> Own {
    OWN.lock().unwrap().clone()
}

#[relib_module::restore_state]
fn restore(own: Own) {
    *OWN.lock().unwrap() = own;
}

#[relib_module::export]
impl Exports for ModuleExportsImpl {
    fn tick(score: &mut Score, mut world: StateMut<'_, World>) -> String {
        let mut own = OWN.lock().unwrap();
        own.ticks += 1;

        score.points += 1;
        score.history.push(score.points);

        // What is allocated in here comes from the world's heap.
        world.init((), |()| World::default());
        let population = world.change(own.ticks, |world, ticks| {
            world.inhabitants.push(format!("inhabitant {ticks}"));
            world.inhabitants.len()
        });
        format!("tick {}: {} points, {population} inhabitants", own.ticks, score.points)
    }
}
