//! The probe on Linux: `/proc/self`, glibc's heap statistics, pthread keys.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use super::descriptor::Descriptor;

/// Number and name of every thread of the process.
pub fn threads() -> io::Result<BTreeMap<i32, String>> {
    let mut threads = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/task")? {
        let entry = entry?;
        // A thread may end between the listing and the reading of its name; then it is not there any more.
        let Ok(name) = fs::read_to_string(entry.path().join("comm")) else {
            continue;
        };
        if let Some(id) = entry.file_name().to_str().and_then(|id| id.parse().ok()) {
            threads.insert(id, name.trim_end().to_owned());
        }
    }
    Ok(threads)
}

/// The number of the calling thread, as in [`threads`].
pub fn current_thread() -> i32 {
    nix::unistd::gettid().as_raw()
}

/// The open descriptors, except for the one that this reads them through.
pub fn descriptors() -> io::Result<Vec<Descriptor>> {
    let own = format!("/proc/{}/fd", std::process::id());
    let mut descriptors = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // Closed since the listing: not open any more.
        let Ok(target) = fs::read_link(entry.path()) else {
            continue;
        };
        let target = target.to_string_lossy().into_owned();
        let Some(number) = entry.file_name().to_str().and_then(|number| number.parse().ok()) else {
            continue;
        };
        if target != own {
            descriptors.push(Descriptor { number, target });
        }
    }
    descriptors.sort();
    Ok(descriptors)
}

/// The files that are mapped, and the number of all mappings.
pub fn mappings() -> io::Result<(BTreeSet<PathBuf>, usize)> {
    let maps = fs::read("/proc/self/maps")?;
    let maps = String::from_utf8_lossy(&maps);
    // address, permissions, offset, device, inode, path: the path is the rest of the line and may hold spaces.
    let files = maps.lines().filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..]))).collect();
    Ok((files, maps.lines().count()))
}

/// Each key counts: std needs one, for the first thread-local object with a destructor.
pub const KEY_TOLERANCE: usize = 0;

/// How many pthread keys can be created now. They are all created and deleted again, so another thread that creates
/// one at this very moment may fail to.
pub fn free_pthread_keys() -> usize {
    let mut keys: Vec<libc::pthread_key_t> = Vec::with_capacity(1024);
    loop {
        let mut key = 0;
        // SAFETY: `key` is a live local that the call writes the new key to; no destructor is passed, so nothing of
        // ours can be called later.
        if unsafe { libc::pthread_key_create(&mut key, None) } != 0 {
            break;
        }
        keys.push(key);
    }
    let free = keys.len();
    for key in keys {
        // SAFETY: the key was created above and is known to nobody else, so no thread can hold a value for it.
        unsafe { libc::pthread_key_delete(key) };
    }
    free
}

/// The C library reads these when it is loaded. Without them it counts the blocks that it keeps for the next allocations
/// of each thread as in use, up to 7 of each of 64 sizes, which is 231 KiB; it raises its threshold for blocks with a
/// mapping of their own when one is freed, and keeps large blocks from then on; and how many arenas it makes, each with
/// mappings of its own, depends on which of the threads happen to allocate at the same time.
pub const ENVIRONMENT: &[(&str, &str)] = &[(
    "GLIBC_TUNABLES",
    "glibc.malloc.tcache_count=0:glibc.malloc.mmap_threshold=131072:glibc.malloc.arena_max=1",
)];

/// The bytes in use on the heap and the resident set.
pub fn memory() -> io::Result<(u64, u64)> {
    // SAFETY: takes no pointers; it gives unused pages of the heap back to the system, so that the resident set below
    // does not count memory that was freed already.
    unsafe { libc::malloc_trim(0) };
    let status = fs::read_to_string("/proc/self/status")?;
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/self/status holds no VmRSS"))?;
    drop(status);
    Ok((heap_in_use(), resident << 10))
}

/// The bytes in use on the heap of the C library, or of the sanitizer that stands in its place: then the statistics of
/// the C library stay at zero.
fn heap_in_use() -> u64 {
    // SAFETY: looks a name up among the symbols of the process.
    let sanitizer =
        unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__sanitizer_get_current_allocated_bytes".as_ptr()) };
    if sanitizer.is_null() {
        // SAFETY: takes no arguments and returns a struct of numbers; glibc locks each arena while it reads it.
        let info = unsafe { libc::mallinfo2() };
        return (info.uordblks + info.hblkhd) as u64;
    }
    // SAFETY: `sanitizer/allocator_interface.h` declares the function of this name by this signature.
    let allocated = unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> usize>(sanitizer) };
    allocated() as u64
}

/// With transparent huge pages one touched byte can be 2 MiB of the resident set, and which bytes share such a page
/// differs from cycle to cycle: the resident set then needs some hundred cycles to come to its level (measured: 3.3 MiB
/// higher, and flat from there).
pub fn settle_memory() -> io::Result<()> {
    // SAFETY: sets a number of the process.
    if unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
