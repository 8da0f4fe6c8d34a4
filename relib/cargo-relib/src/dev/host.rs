//! The running host. It shares the terminal with this program: its output is shown as it is, and it can read input.

use std::fmt;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use shared_child::SharedChild;

#[cfg(unix)]
#[path = "unix.rs"]
mod imp;
#[cfg(windows)]
#[path = "windows.rs"]
mod imp;

/// How long a host that was asked to end may take.
const GRACE: Duration = Duration::from_secs(2);

/// A host that runs; it ends when this is dropped.
pub struct Host(Arc<SharedChild>);

/// A host that has ended.
pub struct End {
    process: u32,
    status: Option<ExitStatus>,
}

impl Host {
    /// Starts the host; `ended` is called when it has ended.
    pub fn start(mut command: Command, ended: impl FnOnce(End) + Send + 'static) -> Result<Host> {
        let child = SharedChild::spawn(&mut command)
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let child = Arc::new(child);
        let waited = Arc::clone(&child);
        thread::Builder::new()
            .name("host-waiter".to_owned())
            .spawn(move || ended(End { process: waited.id(), status: waited.wait().ok() }))
            .context("cannot start a thread that waits for the host")?;
        Ok(Host(child))
    }

    pub fn is(&self, end: &End) -> bool {
        self.0.id() == end.process
    }
}

/// Ends the host: asks it to, and kills it when that does not help.
impl Drop for Host {
    fn drop(&mut self) {
        imp::ask_to_end(&self.0);
        if !matches!(self.0.wait_timeout(GRACE), Ok(Some(_))) {
            // It may have ended just now.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

impl End {
    pub fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => status.fmt(f),
            None => f.write_str("an unknown status"),
        }
    }
}
