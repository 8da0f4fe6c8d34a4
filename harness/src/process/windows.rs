//! Starting, watching and ending the process of a scenario, on Windows itself. The matrix does not come here: it runs
//! on Linux and starts Windows processes through Wine, like any others.

use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::end::{End, Exit, TEMP_VARIABLE};
use crate::limits::Limits;

/// How often the process is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// Runs the command to its end or to its time limit. The limit of address space is not enforced.
pub fn run(mut command: Command, limits: &Limits) -> io::Result<End> {
    let mut child = command.stdin(Stdio::null()).spawn()?;
    let start = Instant::now();
    let exit = loop {
        if let Some(status) = child.try_wait()? {
            break Exit::Code(status.code().unwrap_or(-1));
        }
        if let Some(limit) = limits.time.filter(|limit| start.elapsed() >= *limit) {
            child.kill()?;
            child.wait()?;
            break Exit::Timeout(limit);
        }
        std::thread::sleep(INTERVAL);
    };
    Ok(End { exit, survivors: Vec::new() })
}

/// Makes the directory for temporary files that the harness chose this process's. Wine sets the variables that Windows has
/// for the purpose itself.
pub fn adopt_temporary_directory() {
    if let Some(directory) = std::env::var_os(TEMP_VARIABLE) {
        for name in ["TMP", "TEMP"] {
            // SAFETY: the process has one thread still, so nobody reads the environment meanwhile.
            unsafe { std::env::set_var(name, &directory) };
        }
    }
}
