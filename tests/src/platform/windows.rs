//! Windows on x86_64, also under Wine.

use std::ffi::{OsString, c_void};
use std::fs::File;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::windows::ffi::OsStringExt;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use relib_harness::probe::Probe;
use relib_harness::process::set_temporary_directory;
use relib_harness::{Failure, OrFail, Platform};
use windows_sys::Win32::Foundation::{
    CloseHandle, ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, FreeLibrary, GetHandleInformation, HANDLE,
};
use windows_sys::Win32::Networking::WinSock::closesocket;
use windows_sys::Win32::System::LibraryLoader::{GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GetModuleHandleExW};
use windows_sys::Win32::System::Memory::{MEM_FREE, MEMORY_BASIC_INFORMATION, VirtualQuery};

use super::{Unfinished, section};
use crate::support::another_process;

/// The platform that this code was compiled for.
pub const PLATFORM: Platform = Platform::WindowsX86_64;

/// How many times longer a load takes than on the fastest platform: Wine reads and relocates each image as a whole.
pub const SLOWNESS: usize = 5;

/// How many files with this name are mapped, whatever their directories. A staged copy's name ends with that of the
/// original.
///
/// # Errors
/// When the system does not tell.
pub fn mappings_of(name: &str) -> Result<usize, Failure> {
    let probe = Probe::take()?;
    Ok(probe.mapped_files.iter().filter(|path| path.to_string_lossy().ends_with(name)).count())
}

/// Whether a file at this path is one that relib knows again as long as it has not changed: no file is.
///
/// # Errors
/// None.
pub fn is_known_again(_path: &Path) -> Result<bool, Failure> {
    Ok(false)
}

/// Another handle of the image at an address, as if some library had opened it; null if there is none.
pub fn open_image(address: usize) -> *mut c_void {
    let mut handle = std::ptr::null_mut();
    // SAFETY: with this flag the call accepts any address, and stores a handle if it succeeds.
    unsafe {
        GetModuleHandleExW(
            GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
            std::ptr::without_provenance(address),
            &mut handle,
        );
    }
    handle
}

/// Closes what [`open_image`] has opened.
///
/// # Safety
/// The handle must be open; it is given up.
pub unsafe fn close_image(handle: *mut c_void) {
    // SAFETY: as the caller guarantees.
    unsafe { FreeLibrary(handle) };
}

/// Whether constructors of a private copy run only when the host has accepted the module and given it its heap: the image
/// itself runs them, from its entry point.
pub const CONSTRUCTORS_WAIT_FOR_HOST: bool = false;

/// What the files of dynamic libraries are called at the end.
pub const LIBRARY_EXTENSION: &str = ".dll";

/// Makes a symbolic link to a file; false if this system has none: Windows asks for a right that few have, and Wine has
/// none.
///
/// # Errors
/// Never; elsewhere when the system does not make the link.
pub fn symlink(target: impl AsRef<Path>, link: impl AsRef<Path>) -> Result<bool, Failure> {
    // Wine says that it has made one.
    Ok(std::os::windows::fs::symlink_file(target, &link).is_ok() && link.as_ref().symlink_metadata().is_ok())
}

/// Named pipes are at no path of a file system here.
///
/// # Errors
/// Never; elsewhere when the pipe cannot be made.
pub fn pipe_at(_path: &Path) -> Result<bool, Failure> {
    Ok(false)
}

/// A library on every machine that is no module.
///
/// # Errors
/// When there is none.
pub fn other_library() -> Result<PathBuf, Failure> {
    let root = std::env::var_os("SystemRoot").or_fail("the system should say where it is")?;
    Ok(Path::new(&root).join("system32").join("ws2_32.dll"))
}

/// Where the signature is that the headers begin with.
fn headers(bytes: &[u8]) -> usize {
    u32::from_le_bytes(bytes[0x3c..0x40].try_into().expect("four bytes")) as usize
}

/// The place of the machine's number in the bytes of a library, and the number of another machine.
pub fn machine_place(bytes: &[u8]) -> (usize, u16) {
    const IMAGE_FILE_MACHINE_ARM64: u16 = 0xaa64;
    (headers(bytes) + 4, IMAGE_FILE_MACHINE_ARM64)
}

/// A place in the bytes of a library where one changed bit makes it unusable.
pub fn sensitive_place(bytes: &[u8]) -> usize {
    // The size of the optional header.
    headers(bytes) + 20
}

/// The name of a library that modules need, and one of the same length that no machine has.
pub const NEEDED_LIBRARY: (&[u8], &[u8]) = (b"msvcrt.dll", b"msvcr9.dll");

/// Makes a changed library whole again as far as it describes itself: its checksum is that of its bytes.
pub fn seal(bytes: &mut [u8]) {
    let seal = Seal::of(bytes);
    let number = Seal::number(seal.sum, bytes.len());
    // A library may have been cut before its checksum.
    if let Some(field) = bytes.get_mut(seal.place..seal.place + 4) {
        field.copy_from_slice(&number.to_le_bytes());
    }
}

/// Makes a library whole again of which some bytes were changed: by the checksum in its headers.
pub struct Seal {
    /// Where the checksum stands.
    place: usize,
    /// The sum of the library's words; the checksum counts as zero.
    sum: u64,
}

impl Seal {
    /// For changes of this library.
    pub fn of(library: &[u8]) -> Self {
        let place = headers(library) + 4 + 20 + 64;
        let mut seal = Self { place, sum: 0 };
        seal.sum = seal.sum_of(library, 0);
        seal
    }

    /// What is to be written where when `changed` stands at `start`; nothing if that is the checksum itself.
    pub fn after(&self, library: &[u8], start: usize, changed: &[u8]) -> Option<(usize, [u8; 4])> {
        let end = start + changed.len();
        if start < self.place + 4 && self.place < end {
            return None;
        }
        let sum = self.sum - self.sum_of(&library[start..end], start) + self.sum_of(changed, start);
        Some((self.place, Self::number(sum, library.len()).to_le_bytes()))
    }

    /// What bytes that stand at `start` add to the sum.
    fn sum_of(&self, bytes: &[u8], start: usize) -> u64 {
        let is_counted = |place: &usize| !(self.place..self.place + 4).contains(place);
        let places = (start..start + bytes.len()).filter(is_counted);
        places.map(|place| u64::from(bytes[place - start]) << (place % 2 * 8)).sum()
    }

    fn number(sum: u64, len: usize) -> u32 {
        let mut folded = sum;
        while folded > 0xffff {
            folded = (folded & 0xffff) + (folded >> 16);
        }
        folded as u32 + len as u32
    }
}

/// Makes another build of a library: one of another second, say its headers.
///
/// # Errors
/// Never; elsewhere when the library has no place for a number.
pub fn number_build(bytes: &mut [u8], number: u8) -> Result<(), Failure> {
    let time = headers(bytes) + 8;
    bytes[time] = number;
    seal(bytes);
    Ok(())
}

/// The parts of a library that decide what a loader does with it, by their places in the file.
///
/// # Errors
/// When one is missing.
pub fn deciding_parts(bytes: &[u8]) -> Result<Vec<Range<usize>>, Failure> {
    // The rest of the header before the others is of programs for DOS.
    const PLACE_OF_HEADERS: Range<usize> = 0x3c..0x40;
    const SECTION_HEADER: usize = 40;
    let start = headers(bytes);
    let sections = usize::from(u16::from_le_bytes([bytes[start + 6], bytes[start + 7]]));
    let end = start + 264 + sections * SECTION_HEADER;
    let sections = [".idata", ".edata", ".tls", ".relib"].map(|name| section(bytes, name));
    let parts = [Ok(PLACE_OF_HEADERS), Ok(start..end)].into_iter().chain(sections);
    parts.collect()
}

/// Variants of a library that have not been written from `start` on. Its headers are in front, so there is one only.
pub fn unfinished(whole: &[u8], start: usize) -> Vec<Unfinished> {
    let mut bytes = whole.to_vec();
    bytes[start..].fill(0);
    vec![Unfinished { kind: "zeros", bytes, may_load: false }]
}

/// Puts a file in the place of one that may be loaded: Windows does not replace that, but renames it.
///
/// # Errors
/// When the system does not do it.
pub fn put_in_place(file: &Path, of: &Path) -> Result<(), Failure> {
    std::fs::rename(of, of.with_extension("old"))?;
    Ok(std::fs::rename(file, of)?)
}

/// Changes a file, again and again while the system is against it because somebody has the file open, such as a reloader
/// that looks at it: it may not be replaced then under Wine, nor written while the reloader finds out whether it is.
///
/// # Errors
/// When the system does not do it for ten seconds.
pub fn persist<T>(mut change: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    let is_open = |error: &std::io::Error| {
        [ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION]
            .map(|code| Some(code as i32))
            .contains(&error.raw_os_error())
    };
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match change() {
            Err(error) if is_open(&error) && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(1));
            }
            result => return result,
        }
    }
}

/// Deletes a file, and waits until its name is free: under Wine that is when nobody has it open any more, such as a
/// reloader that looks at it.
///
/// # Errors
/// When the system does not do it.
pub fn delete(path: &Path) -> Result<(), Failure> {
    persist(|| std::fs::remove_file(path))?;
    while path.try_exists().unwrap_or(true) {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Whether the name of a directory that was deleted is free at once, also while it is watched: Wine waits for the end of
/// that.
pub const DELETED_AT_ONCE: bool = false;

/// By how many the mappings of a process may differ between two moments: those that the system's heaps put together and
/// take apart.
pub const MAPPINGS_THAT_VARY: usize = 8;

/// Whether the system keeps mapped what it could not load: Wine 8 does, by a loop of `LoadLibrary` alone, too, over a
/// library whose dependency is missing.
pub const KEEPS_FAILED_LOADS: bool = true;

/// Fixtures that must not be loaded, with what their copies are called.
pub const REFUSED_FIXTURES: &[(&str, &str)] = &[("unmarked", "load-unmarked")];

/// Where it does not matter if something crashes: a second process of this scenario, and another one if that has ended.
pub struct Apart {
    process: Option<Answering>,
}

/// Says to a second process of this scenario that it is to answer requests.
const ANSWERS: &str = "RELIB_TEST_ANSWERS";

impl Apart {
    /// Has requests answered by this function. Does not return in the process that answers them.
    ///
    /// # Errors
    /// Never in the process that asks.
    pub fn new(answer: fn(&str) -> u8) -> Result<Self, Failure> {
        if std::env::var_os(ANSWERS).is_some() {
            let mut stdout = std::io::stdout();
            for request in std::io::stdin().lines() {
                stdout.write_all(&[answer(&request?)])?;
                stdout.flush()?;
            }
            std::process::exit(0);
        }
        Ok(Self { process: None })
    }

    /// The answer, or a text that says how the process ended that did not give one.
    ///
    /// # Errors
    /// When there can be no more processes.
    pub fn ask(&mut self, request: &str) -> Result<Result<u8, String>, Failure> {
        let process = match &mut self.process {
            Some(process) => process,
            none => none.insert(Answering::start()?),
        };
        let answer = process.ask(request);
        if answer.is_err() {
            self.process = None;
        }
        Ok(answer)
    }
}

/// A process that answers requests; ended when dropped.
struct Answering {
    process: Child,
    /// `None` once there are no more requests.
    requests: Option<ChildStdin>,
    answers: Receiver<u8>,
    /// Reads the answers, so that one can be waited for with a time limit.
    reader: Option<JoinHandle<()>>,
}

impl Answering {
    fn start() -> Result<Self, Failure> {
        let mut command = another_process(ANSWERS, "")?;
        // Beside the other files of the scenario: this process may not live to remove its own.
        set_temporary_directory(&mut command, &std::env::current_dir()?);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let requests = process.stdin.take();
        let stdout = process.stdout.take().or_fail("the process has no output")?;
        let (send, answers) = channel();
        let reader = std::thread::spawn(move || {
            // An error of either means that nobody asks any more.
            stdout.bytes().map_while(Result::ok).try_for_each(|answer| send.send(answer)).ok();
        });
        Ok(Self { process, requests, answers, reader: Some(reader) })
    }

    fn ask(&mut self, request: &str) -> Result<u8, String> {
        const LIMIT: Duration = Duration::from_secs(20);
        // If the process has ended there is no answer either.
        let _ = self.requests.as_mut().map(|requests| writeln!(requests, "{request}"));
        self.answers.recv_timeout(LIMIT).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("no answer after {LIMIT:?}"),
            RecvTimeoutError::Disconnected => format!("{:?}", self.process.wait()),
        })
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        // It ends when there is nothing more to read.
        drop(self.requests.take());
        if self.answers.recv_timeout(Duration::from_secs(5)) != Err(RecvTimeoutError::Disconnected) {
            // An error means that it has ended.
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// File names that are unusual here, and allowed.
pub const UNUSUAL_NAMES: &[&str] =
    &["naïve ☃ 𝄞.dll", "with spaces, and (brackets).dll", "other.extension", "no-extension"];

/// A file name that is not Unicode: half of a surrogate pair. Wine does not have them.
pub fn name_beyond_unicode() -> Option<OsString> {
    let name = OsString::from_wide(&[0x64, 0xd800, 0x2e, 0x64, 0x6c, 0x6c]);
    std::fs::write(&name, "").ok().map(|()| name)
}

/// Writes a file anew, which nobody else may have open meanwhile, as linkers do.
///
/// # Errors
/// When the system does not allow it.
pub fn write_alone(path: &Path, contents: &[u8]) -> std::io::Result<()> {
    let nobody = 0;
    File::options().write(true).truncate(true).share_mode(nobody).open(path)?.write_all(contents)
}

/// Has the dynamic loader of this process search a directory. Returns if it does.
///
/// # Errors
/// Never; elsewhere when the process cannot be started anew for that.
pub fn search_for_libraries_in(directory: &Path) -> Result<(), Failure> {
    // SAFETY: the scenario has one thread.
    unsafe { std::env::set_var("PATH", directory) };
    Ok(())
}

/// The name of a library that every process has loaded.
pub const LOADED_LIBRARY: &str = "kernel32.dll";

/// The part of the target's name that says which system it is, and another of the same length.
pub const OTHER_TARGET: (&[u8], &[u8]) = (b"x86_64-pc-windows-gnu", b"x86_64-pc-windows-old");

/// Whether a handle is open.
pub fn is_open(number: i32) -> bool {
    let mut flags = 0;
    // SAFETY: the call accepts any handle, and stores flags if it succeeds.
    unsafe { GetHandleInformation(handle(number), &mut flags) != 0 }
}

/// Closes a handle, or a socket, that is nobody else's.
pub fn close(number: i32) {
    // SAFETY: both calls accept any handle; the first fails for what is no socket.
    unsafe {
        if closesocket(handle(number).addr()) != 0 {
            CloseHandle(handle(number));
        }
    }
}

/// Handles have 32 significant bits, which are extended by their sign.
fn handle(number: i32) -> HANDLE {
    std::ptr::without_provenance_mut(number as isize as usize)
}

/// The number of a file's handle.
pub fn descriptor_of(file: &File) -> i32 {
    file.as_raw_handle().addr() as i32
}

/// Whether a process has ended itself by `abort`: std's, which fails fast, or that of the C library.
pub fn aborted(status: ExitStatus) -> bool {
    const STATUS_STACK_BUFFER_OVERRUN: u32 = 0xc000_0409;
    const OF_C_LIBRARY: u32 = 3;
    status.code().is_some_and(|code| matches!(code as u32, STATUS_STACK_BUFFER_OVERRUN | OF_C_LIBRARY))
}

/// Whether something is mapped at an address.
pub fn is_mapped(address: usize) -> bool {
    let mut region = MaybeUninit::<MEMORY_BASIC_INFORMATION>::zeroed();
    // SAFETY: the call accepts any address, and stores a description of which zero bytes are a valid one.
    unsafe {
        let size = size_of::<MEMORY_BASIC_INFORMATION>();
        VirtualQuery(std::ptr::without_provenance(address), region.as_mut_ptr(), size) != 0
            && region.assume_init().State != MEM_FREE
    }
}

/// A path that is not Unicode: half of a surrogate pair.
pub fn path_beyond_unicode() -> PathBuf {
    OsString::from_wide(&[0x5c, 0x78, 0xd800]).into()
}
