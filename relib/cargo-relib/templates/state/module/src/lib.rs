//! The module: change it while the host runs. The world stays.

use my_app_shared::{Exports, World};
use relib_interface::StateMut;
use relib_module::ChangeState;

#[relib_module::export]
impl Exports for ModuleExportsImpl {
    fn step(mut world: StateMut<'_, World>) {
        world.init((), |()| World::default());
        // In here the module's allocations go to the state, which outlives the module.
        world.change((), |world, ()| {
            world.ticks += 1;
            if world.ticks.is_multiple_of(10) {
                world.history.push(format!("tick {}", world.ticks));
            }
        });
    }

    fn describe(world: &World) -> String {
        let World { ticks, history } = world;
        format!("{ticks} ticks, of which {} are history", history.len())
    }
}
