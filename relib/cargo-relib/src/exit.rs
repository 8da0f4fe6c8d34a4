//! The exit codes of all subcommands.

/// The question was answered by no: the module is not safe to reload, or would not load in the host.
pub const NO: u8 = 1;
/// The question could not be answered: a file cannot be read, a project does not build. clap uses the same code for a
/// wrong command line.
pub const ERROR: u8 = 2;
/// Ended by Ctrl-C, as shells report it.
pub const INTERRUPTED: u8 = 130;
