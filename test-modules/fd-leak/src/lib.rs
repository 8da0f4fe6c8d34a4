//! Leaves descriptors open.

use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, PoisonError};

use fixture_interface::ledger::Descriptors;

struct Opened {
    file: File,
    socket: UnixDatagram,
    pipe: (PipeReader, PipeWriter),
    epoll: OwnedFd,
}

impl Opened {
    fn new(file: &str) -> std::io::Result<Self> {
        Ok(Self {
            file: File::open(file)?,
            socket: UnixDatagram::unbound()?,
            pipe: std::io::pipe()?,
            // SAFETY: the call returns a new descriptor, or an error, which no scenario provokes.
            epoll: unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) },
        })
    }

    fn numbers(&self) -> Vec<i32> {
        let (reader, writer) = &self.pipe;
        vec![
            self.file.as_raw_fd(),
            self.socket.as_raw_fd(),
            reader.as_raw_fd(),
            writer.as_raw_fd(),
            self.epoll.as_raw_fd(),
        ]
    }
}

static OPENED: Mutex<Option<Opened>> = Mutex::new(None);

#[relib_module::export]
impl Descriptors for DescriptorsImpl {
    fn leak(file: &str) -> Vec<i32> {
        let opened = Opened::new(file).expect("everything should open");
        let numbers = opened.numbers();
        *OPENED.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened);
        numbers
    }

    fn open_and_close(file: &str) {
        drop(Opened::new(file).expect("everything should open"));
    }

    fn close() {
        *OPENED.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn hand_over(file: &str) -> i32 {
        File::open(file).expect("the file should open").into_raw_fd()
    }

    fn redirect_and_restore(number: i32, file: &str) {
        let other = File::open(file).expect("the file should open");
        // SAFETY: the calls change what the numbers refer to, as the scenario wants it.
        unsafe {
            let saved = libc::dup(number);
            libc::dup2(other.as_raw_fd(), number);
            libc::dup2(saved, number);
            libc::close(saved);
        }
    }
}
