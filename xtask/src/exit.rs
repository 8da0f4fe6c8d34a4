//! The exit codes of the tasks.

/// Something differs from what is accepted, or a task failed.
pub const FAILED: u8 = 1;
/// There was nothing to do: the filter matched nothing. clap uses the same code for a wrong command line.
pub const USAGE: u8 = 2;
