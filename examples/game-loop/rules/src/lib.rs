//! A ball in a box. Change something, build, and watch the game.

use shared::{Rules, World};

const BALL: char = 'o';
const GRAVITY: f32 = 30.0;
const BOUNCE: f32 = 0.9;

#[relib_module::export]
impl Rules for ModuleRulesImpl {
    fn tick(world: &mut World, seconds: f32) {
        world.speed.1 += GRAVITY * seconds;
        let bounced = [
            step(&mut world.ball.0, &mut world.speed.0, world.size.0, seconds),
            step(&mut world.ball.1, &mut world.speed.1, world.size.1, seconds),
        ];
        world.bounces += bounced.into_iter().map(u32::from).sum::<u32>();
    }

    fn draw(world: &World) -> Vec<String> {
        let (column, row) = (world.ball.0 as u16, world.ball.1 as u16);
        let cell = |at: (u16, u16)| if at == (column, row) { BALL } else { '.' };
        (0..world.size.1).map(|row| (0..world.size.0).map(|column| cell((column, row))).collect()).collect()
    }
}

/// Moves along one axis between zero and `size`; returns whether there was a wall.
fn step(position: &mut f32, speed: &mut f32, size: u16, seconds: f32) -> bool {
    let end = f32::from(size) - 0.01;
    *position += *speed * seconds;
    let inside = (0.0..=end).contains(position);
    if !inside {
        *position = position.clamp(0.0, end);
        *speed *= -BOUNCE;
    }
    !inside
}
