//! The terminal: rows of text, and whether somebody wants to stop.
//!
//! It must not know what the rows show.

use std::io::{self, Stdout, Write as _};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, MoveToNextLine, Show};
use crossterm::event::{self, Event, KeyCode};
use crossterm::style::Print;
use crossterm::terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{execute, queue};

/// The terminal while the game has it; given back when dropped.
pub struct Screen(Stdout);

impl Screen {
    pub fn take() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let mut screen = Self(io::stdout());
        execute!(screen.0, EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Shows rows, in the place of what is there.
    pub fn show(&mut self, rows: &[String]) -> io::Result<()> {
        queue!(self.0, MoveTo(0, 0))?;
        for row in rows {
            queue!(self.0, Print(row), Clear(ClearType::UntilNewLine), MoveToNextLine(1))?;
        }
        queue!(self.0, Clear(ClearType::FromCursorDown))?;
        self.0.flush()
    }

    /// Waits for a time, or until a key is pressed; returns whether it is `q`.
    pub fn wait_for_quit(&self, time: Duration) -> io::Result<bool> {
        Ok(event::poll(time)? && matches!(event::read()?, Event::Key(key) if key.code == KeyCode::Char('q')))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody is left to be told of a failure.
        let _ = execute!(self.0, Show, LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}
