//! Handles signals by functions of its own.

use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering};

use fixture_interface::ledger::Signals;

static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handle(_: c_int) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

#[relib_module::export]
impl Signals for SignalsImpl {
    fn install() {
        let handler = handle as *const () as libc::sighandler_t;
        // SAFETY: zero is a valid `sigaction`; the handler only touches an atomic.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler;
            libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
            libc::signal(libc::SIGUSR2, handler);
        }
    }

    fn handled() -> usize {
        HANDLED.load(Ordering::Relaxed)
    }

    fn restore() {
        for signal in [libc::SIGUSR1, libc::SIGUSR2] {
            // SAFETY: the default action is valid for every signal.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
}
