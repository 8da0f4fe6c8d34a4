//! Linux with glibc.

use std::ffi::{CStr, OsString, c_void};
use std::fs::File;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use nix::sys::statfs;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, alarm, fork};
use relib_harness::{Failure, OrFail, Platform};

use super::{Unfinished, section};

/// The platform that this code was compiled for.
pub const PLATFORM: Platform = Platform::LinuxX86_64;

/// How many times longer a load takes than on the fastest platform.
pub const SLOWNESS: usize = 1;

/// How many lines of `/proc/self/maps` are of files with this name, whatever their directories and whether or not they
/// are deleted. A staged copy's name ends with that of the original.
///
/// # Errors
/// When the system does not tell.
pub fn mappings_of(name: &str) -> Result<usize, Failure> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    Ok(maps.lines().filter(|line| line.trim_end_matches(" (deleted)").ends_with(name)).count())
}

/// Whether a file at this path is one that relib knows again as long as it has not changed.
///
/// # Errors
/// When the system does not tell.
pub fn is_known_again(path: &Path) -> Result<bool, Failure> {
    let kind = statfs::statfs(path).map_err(std::io::Error::from)?.filesystem_type();
    Ok([statfs::BTRFS_SUPER_MAGIC, statfs::EXT4_SUPER_MAGIC, statfs::XFS_SUPER_MAGIC].contains(&kind))
}

/// Another handle of the image at an address, as if some library had opened it; null if there is none.
pub fn open_image(address: usize) -> *mut c_void {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the call accepts any address, and describes the image there; its name is that of a loaded file.
    unsafe {
        libc::dladdr(std::ptr::with_exposed_provenance(address), info.as_mut_ptr());
        let path = CStr::from_ptr(info.assume_init().dli_fname).to_owned();
        libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD)
    }
}

/// Closes what [`open_image`] has opened.
///
/// # Safety
/// The handle must be open; it is given up.
pub unsafe fn close_image(handle: *mut c_void) {
    // SAFETY: as the caller guarantees.
    unsafe { libc::dlclose(handle) };
}

/// Whether constructors of a private copy run only when the host has accepted the module and given it its heap.
pub const CONSTRUCTORS_WAIT_FOR_HOST: bool = true;

/// What the files of dynamic libraries are called at the end.
pub const LIBRARY_EXTENSION: &str = ".so";

/// Makes a symbolic link to a file; false if this system has none.
///
/// # Errors
/// When the system has them and does not make this one.
pub fn symlink(target: impl AsRef<Path>, link: impl AsRef<Path>) -> Result<bool, Failure> {
    std::os::unix::fs::symlink(target, link)?;
    Ok(true)
}

/// Makes something at a path that is neither file nor directory, and that waits if it is opened without care; false if
/// this system has no such thing.
///
/// # Errors
/// When it cannot be made.
pub fn pipe_at(path: &Path) -> Result<bool, Failure> {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU)?;
    Ok(true)
}

/// A library on every machine that is no module.
///
/// # Errors
/// When there is none.
pub fn other_library() -> Result<PathBuf, Failure> {
    // Rust programs are linked with it.
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let mut paths = maps.lines().filter_map(|line| line.find('/').map(|start| &line[start..]));
    Ok(paths.find(|path| path.contains("/libgcc_s.so")).or_fail("there is no libgcc_s.so")?.into())
}

/// The place of the machine's number in the bytes of a library, and the number of another machine.
pub fn machine_place(_bytes: &[u8]) -> (usize, u16) {
    const EM_AARCH64: u16 = 183;
    (18, EM_AARCH64)
}

/// A place in the bytes of a library where one changed bit makes it unusable.
pub fn sensitive_place(_bytes: &[u8]) -> usize {
    54
}

/// The name of a library that modules need, and one of the same length that no machine has.
pub const NEEDED_LIBRARY: (&[u8], &[u8]) = (b"libgcc_s.so.1", b"libgcc_s.so.9");

/// Makes a changed library whole again as far as it describes itself.
pub fn seal(_bytes: &mut [u8]) {}

/// Makes a library whole again of which some bytes were changed: nothing in an ELF file is a sum of others.
pub struct Seal;

impl Seal {
    /// For changes of this library.
    pub fn of(_library: &[u8]) -> Self {
        Self
    }

    /// What is to be written where when `changed` stands at `start`.
    pub fn after(&self, _library: &[u8], _start: usize, _changed: &[u8]) -> Option<(usize, [u8; 4])> {
        None
    }
}

/// Makes another build of a library: a number in a section that nothing reads.
///
/// # Errors
/// When the library has no such section.
pub fn number_build(bytes: &mut [u8], number: u8) -> Result<(), Failure> {
    let comment = section(bytes, ".comment")?;
    bytes[comment.start] = number;
    Ok(())
}

/// The parts of a library that decide what a loader does with it, by their places in the file.
///
/// # Errors
/// When one is missing.
pub fn deciding_parts(bytes: &[u8]) -> Result<Vec<Range<usize>>, Failure> {
    const HEADER: Range<usize> = 0..64;
    let number = |place: usize| usize::from(u16::from_le_bytes([bytes[place], bytes[place + 1]]));
    let (phoff, phentsize, phnum) = (number(32), number(54), number(56));
    Ok(vec![HEADER, phoff..phoff + phentsize * phnum, section(bytes, ".dynamic")?, section(bytes, ".relib")?])
}

/// The place in the ELF header of the place of the section headers.
const E_SHOFF: Range<usize> = 40..48;

/// The section headers of an ELF file, by their place in it.
fn section_headers(bytes: &[u8]) -> Range<usize> {
    let number = |place: usize| usize::from(u16::from_le_bytes([bytes[place], bytes[place + 1]]));
    let (size, count) = (number(58), number(60));
    let start = u64::from_le_bytes(bytes[E_SHOFF].try_into().expect("the range has eight bytes")) as usize;
    start..start + size * count
}

/// Variants of a library that have not been written from `start` on.
///
/// Without its section headers it is refused; with them behind what is left, other checks have to notice. What only lacks
/// debug information may load.
pub fn unfinished(whole: &[u8], start: usize) -> Vec<Unfinished> {
    let headers = section_headers(whole);
    let mut zeros = whole.to_vec();
    zeros[start..].fill(0);
    let mut zeros_and_headers = whole.to_vec();
    zeros_and_headers[start..headers.start.max(start)].fill(0);
    let mut cut_and_headers = whole[..start].to_vec();
    cut_and_headers.extend_from_slice(&whole[headers.clone()]);
    cut_and_headers[E_SHOFF].copy_from_slice(&(start as u64).to_le_bytes());
    [
        ("zeros", zeros, false),
        ("zeros before the section headers", zeros_and_headers, true),
        ("a cut before the section headers", cut_and_headers, true),
    ]
    .map(|(kind, bytes, may_load)| Unfinished { kind, bytes, may_load })
    .into()
}

/// Puts a file in the place of one that may be loaded.
///
/// # Errors
/// When the system does not do it.
pub fn put_in_place(file: &Path, of: &Path) -> Result<(), Failure> {
    Ok(std::fs::rename(file, of)?)
}

/// Changes a file that somebody may have open, which is no hindrance here.
///
/// # Errors
/// When the system does not do it.
pub fn persist<T>(mut change: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    change()
}

/// Deletes a file, and waits until its name is free, which it is at once here.
///
/// # Errors
/// When the system does not do it.
pub fn delete(path: &Path) -> Result<(), Failure> {
    Ok(std::fs::remove_file(path)?)
}

/// Whether the name of a directory that was deleted is free at once, also while it is watched.
pub const DELETED_AT_ONCE: bool = true;

/// By how many the mappings of a process may differ between two moments.
pub const MAPPINGS_THAT_VARY: usize = 0;

/// Whether the system keeps mapped what it could not load.
pub const KEEPS_FAILED_LOADS: bool = false;

/// Fixtures that must not be loaded, with what their copies are called.
pub const REFUSED_FIXTURES: &[(&str, &str)] =
    &[("abort", "panic-abort-module"), ("initfirst", "load-initfirst"), ("unmarked", "load-unmarked")];

/// Where it does not matter if something crashes: each request is answered by a fork of this process, which must have one
/// thread. A spawned process would take ten times as long.
pub struct Apart {
    answer: fn(&str) -> u8,
}

impl Apart {
    /// Has requests answered by this function.
    ///
    /// # Errors
    /// Never; elsewhere when there can be no other process.
    pub fn new(answer: fn(&str) -> u8) -> Result<Self, Failure> {
        Ok(Self { answer })
    }

    /// The answer, or a text that says how the process ended that did not give one.
    ///
    /// # Errors
    /// When there can be no more processes.
    pub fn ask(&mut self, request: &str) -> Result<Result<u8, String>, Failure> {
        const SECONDS: u32 = 20;
        // SAFETY: this process has one thread, so that the child may do whatever the parent may.
        match unsafe { fork()? } {
            ForkResult::Parent { child } => Ok(match waitpid(child, None)? {
                WaitStatus::Exited(_, code) => Ok(code as u8),
                other => Err(format!("{other:?}")),
            }),
            ForkResult::Child => {
                alarm::set(SECONDS);
                let code = (self.answer)(request);
                // SAFETY: ends the process at once: what its end would clean up is the parent's.
                unsafe { libc::_exit(code.into()) }
            }
        }
    }
}

/// File names that are unusual here, and allowed.
pub const UNUSUAL_NAMES: &[&str] = &["libnaïve ☃ 𝄞.so", "lib with spaces\nand lines:.so", "no-extension"];

/// A file name that is not Unicode.
pub fn name_beyond_unicode() -> Option<OsString> {
    Some(OsString::from_vec(b"lib\xff\xfe.so".to_vec()))
}

/// Writes a file anew, as linkers do. Nobody can keep others from it here.
///
/// # Errors
/// When the system does not allow it.
pub fn write_alone(path: &Path, contents: &[u8]) -> std::io::Result<()> {
    std::fs::write(path, contents)
}

/// Has the dynamic loader of this process search a directory. Returns if it does.
///
/// # Errors
/// When the process cannot be started anew for that.
pub fn search_for_libraries_in(directory: &Path) -> Result<(), Failure> {
    const VARIABLE: &str = "LD_LIBRARY_PATH";
    if std::env::var_os(VARIABLE).is_some() {
        return Ok(());
    }
    // The dynamic loader reads the variable when a process starts.
    let mut again = Command::new(std::env::current_exe()?);
    Err(again.args(std::env::args_os().skip(1)).env(VARIABLE, directory).exec().into())
}

/// The name of a library that every process has loaded.
pub const LOADED_LIBRARY: &str = "libc.so.6";

/// The part of the target's name that says which system it is, and another of the same length.
pub const OTHER_TARGET: (&[u8], &[u8]) = (b"x86_64-unknown-linux-gnu", b"x86_64-unknown-linux-old");

/// Whether a descriptor is open.
pub fn is_open(descriptor: i32) -> bool {
    // SAFETY: the call accepts any number and changes nothing.
    unsafe { libc::fcntl(descriptor, libc::F_GETFD) != -1 }
}

/// Closes a descriptor that is nobody else's.
pub fn close(descriptor: i32) {
    // SAFETY: the call accepts any number.
    unsafe { libc::close(descriptor) };
}

/// The number of a file's descriptor.
pub fn descriptor_of(file: &File) -> i32 {
    file.as_raw_fd()
}

/// Whether a process has ended itself by `abort`.
pub fn aborted(status: ExitStatus) -> bool {
    status.signal() == Some(libc::SIGABRT)
}

/// Whether something is mapped at an address.
pub fn is_mapped(address: usize) -> bool {
    let mut residency = 0;
    // SAFETY: the call writes one byte for one page, and accepts any address.
    unsafe { libc::mincore(std::ptr::without_provenance_mut(address), 1, &mut residency) == 0 }
}

/// A path that is not Unicode.
pub fn path_beyond_unicode() -> PathBuf {
    OsString::from_vec(b"/not/utf-8/\xff".to_vec()).into()
}
