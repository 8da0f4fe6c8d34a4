//! What people see: colours, the status lines of cargo's style, errors with their causes.
//!
//! Colours go where a terminal is and `NO_COLOR` is not, which `anstream` finds out. Results go to standard output; how
//! things are going goes to standard error.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

pub const GOOD: Style = AnsiColor::Green.on_default().bold();
pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
pub const NAME: Style = AnsiColor::Cyan.on_default().bold();
pub const FAINT: Style = Style::new().dimmed();

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MessageFormat {
    /// For people
    #[default]
    Human,
    /// For programs: JSON
    Json,
}

/// A text in a style.
pub fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A line about what is going on, with its verb where cargo has it.
pub fn status(style: Style, verb: &str, text: impl Display) {
    anstream::eprintln!("{style}{verb:>12}{style:#} {text}");
}

/// An error with its causes.
pub fn error(error: &anyhow::Error) {
    anstream::eprintln!("{} {error}", styled(BAD, "error:"));
    for cause in error.chain().skip(1) {
        anstream::eprintln!("  caused by: {cause}");
    }
}
