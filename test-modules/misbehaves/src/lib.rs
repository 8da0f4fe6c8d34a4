//! A module whose `main` does what the environment variable `MISDEED` says; for tests of tools that run modules of which
//! they know nothing.

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::fs::File;
use std::os::fd::IntoRawFd as _;
use std::process::Command;
use std::thread;
use std::time::Duration;

use fixture_interface::panics::ModuleHost;

thread_local!(static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) });

#[relib_module::export]
fn main() -> String {
    let misdeed = std::env::var("MISDEED").unwrap_or_default();
    match misdeed.as_str() {
        "" => {}
        "panic" => panic!("as asked for"),
        "import" => drop(ModuleHost::fail("to the host")),
        "thread" => {
            let thread = thread::Builder::new().name("left-behind".to_owned());
            thread
                .spawn(|| {
                    loop {
                        thread::park()
                    }
                })
                .expect("a thread can be started");
        }
        "thread-local" => LOG.with_borrow_mut(|log| log.push("called".to_owned())),
        "crash" => crash(),
        "exit" => std::process::exit(3),
        "hang" => loop {
            thread::sleep(Duration::from_secs(1));
        },
        "signal-handler" => {
            let handler: extern "C" fn(c_int) = handle_signal;
            // SAFETY: the handler has the type that the system calls, and does nothing.
            unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
        }
        "descriptor" => drop(File::open("/dev/null").expect("the file is there").into_raw_fd()),
        "c-leak" => leak_by_malloc(),
        "rust-leak" => drop(Vec::<u8>::with_capacity(64 << 10).leak()),
        "at-exit" => {
            // SAFETY: not sound: unlike with `atexit`, the C library does not know of which image the function is, and
            // calls it when the image has gone.
            unsafe { on_exit(at_exit, std::ptr::null_mut()) };
        }
        "process" => {
            // Not waited for: that is what the check is to find.
            std::mem::forget(Command::new("sleep").arg("1000").spawn().expect("there is a program `sleep`"));
        }
        "temporary-file" => {
            let path = std::env::temp_dir().join("left.txt");
            std::fs::write(path, "left").expect("temporary files can be written");
        }
        other => panic!("there is no misdeed {other:?}"),
    }
    misdeed
}

/// Writes where nothing can be.
fn crash() {
    let nowhere = std::ptr::without_provenance_mut::<u8>(16);
    // SAFETY: not sound at all; that is what the fixture is for.
    unsafe { nowhere.write_volatile(1) };
}

fn leak_by_malloc() {
    const SIZE: usize = 64 << 10;
    // SAFETY: the block is as long as what is written to it, and nobody else has it.
    unsafe { libc::malloc(SIZE).cast::<u8>().write_bytes(1, SIZE) };
}

extern "C" fn handle_signal(_: c_int) {}

extern "C" fn at_exit(_: c_int, _: *mut c_void) {}

unsafe extern "C" {
    fn on_exit(function: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
}
