//! Ending a host on Windows, where a program of the console cannot be asked without asking all others of the console.

use shared_child::SharedChild;

/// Ends the host; one that has ended already needs nothing.
pub fn ask_to_end(host: &SharedChild) {
    let _ = host.kill();
}
