//! A game whose rules are a module: it ticks, draws, and takes new rules whenever there is a new build of them.
//!
//! `game` plays in the terminal; `game --frames 50` plays that many frames without one, and prints the last.

mod screen;

use std::error::Error;
use std::time::Duration;

use relib::Reloader;
use screen::Screen;
use shared::{ModuleRules, World};

const FRAME: Duration = Duration::from_millis(40);

struct Game {
    world: World,
    rules: Reloader<ModuleRules>,
    /// The last thing that happened to the rules.
    news: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    // SAFETY: the rules are our own code, and so will be each build of them.
    let rules = unsafe { Reloader::start("target/debug/librules.so", ())? };
    let world = World { size: (40, 10), ball: (1.0, 1.0), speed: (12.0, 0.0), bounces: 0 };
    let mut game = Game { world, rules, news: "q quits".to_owned() };
    match frames()? {
        None => game.play()?,
        Some(frames) => {
            (0..frames).for_each(|_| game.frame());
            println!("{}", game.rows().join("\n"));
        }
    }
    Ok(())
}

impl Game {
    /// Plays in the terminal until somebody presses `q`.
    fn play(&mut self) -> Result<(), Box<dyn Error>> {
        let mut screen = Screen::take()?;
        while !screen.wait_for_quit(FRAME)? {
            // Between two frames no code of the rules runs: the time to replace them.
            for event in self.rules.poll() {
                self.news = event.to_string();
            }
            self.frame();
            screen.show(&self.rows())?;
        }
        Ok(())
    }

    /// Moves the world on by a frame. If the rules panic, the world stays as it was until there are better ones.
    fn frame(&mut self) {
        if self.rules.exports().tick(&mut self.world, FRAME.as_secs_f32()).is_none()
            && let Some(panic) = self.rules.module().last_panic()
        {
            self.news = panic.to_string();
        }
    }

    fn rows(&self) -> Vec<String> {
        let mut rows = self.rules.exports().draw(&self.world).unwrap_or_default();
        let (build, bounces) = (self.rules.generation(), self.world.bounces);
        rows.push(format!("build {build}, {bounces} bounces; {}", self.news));
        rows
    }
}

/// The number after `--frames`, if there is one.
fn frames() -> Result<Option<u32>, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => Ok(None),
        (Some("--frames"), Some(number)) => Ok(Some(number.parse()?)),
        _ => Err("usage: game [--frames NUMBER]".into()),
    }
}
