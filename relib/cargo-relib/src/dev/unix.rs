//! Ending a host on Unix.

use shared_child::SharedChild;
use shared_child::unix::SharedChildExt as _;

/// Sends the signal by which programs are asked to end; one that has ended already needs none.
pub fn ask_to_end(host: &SharedChild) {
    let _ = host.send_signal(libc::SIGTERM);
}
