//! The command line of `cargo relib dev`.

use std::path::PathBuf;

use crate::console::MessageFormat;

#[derive(clap::Args)]
pub struct Arguments {
    /// The package of the host; needed if several packages with a program depend on relib
    #[arg(long, value_name = "PACKAGE")]
    pub host: Option<String>,
    /// The package of a module; all that depend on relib_module, if none is given
    #[arg(long = "module", value_name = "PACKAGE")]
    pub modules: Vec<String>,
    /// The manifest of the project
    #[arg(long, value_name = "PATH")]
    pub manifest_path: Option<PathBuf>,
    /// Build in the release profile
    #[arg(long)]
    pub release: bool,
    /// Leave the host running when its own sources change
    #[arg(long)]
    pub no_restart: bool,
    /// How to say what is going on; as JSON it is one object a line on standard output, beside cargo's own, and what the
    /// host prints goes to standard error
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub message_format: MessageFormat,
    /// Arguments for the host
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub host_arguments: Vec<String>,
}
