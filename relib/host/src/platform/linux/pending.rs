//! How many destructors of thread-local objects keep an image loaded, read from glibc's own count.
//!
//! glibc does not unmap an image while `l_tls_dtor_count`, in the private part of its description of the image, is not
//! zero (`stdlib/cxa_thread_atexit_impl.c`, `_dl_close_worker`). relib keeps the destructors of a module away from glibc,
//! but a constructor of an image that is loaded in place runs before it can. Where the count stands differs between
//! versions of glibc, so it is found by experiment: registering a destructor raises it by one. This is only done to
//! explain why an image has stayed.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use super::link_map::LinkMap;

/// How many destructors are registered for the image that `map` describes; `None` if this glibc does not show it.
pub(super) fn thread_local_destructors(map: &LinkMap) -> Option<usize> {
    static PLACE: OnceLock<Option<usize>> = OnceLock::new();
    // A thread of its own, because its end takes the registrations back.
    let find_apart = || std::thread::Builder::new().spawn(find_count).ok()?.join().ok()?;
    let place = (*PLACE.get_or_init(find_apart))?;
    Some(words_of(map)[place])
}

/// Words of a description that are looked at. With glibc 2.36 on x86_64 a description has 149, and the count is number
/// 145; in all versions the image's name, of at least as many bytes as a version differs by, is allocated behind it.
const WORDS: usize = 148;

/// Copies the beginning of a description.
fn words_of(map: &LinkMap) -> [usize; WORDS] {
    let start = std::ptr::from_ref(map).cast::<usize>();
    std::array::from_fn(|index| {
        // SAFETY: glibc keeps its private part behind the public one, and has allocated at least `WORDS` words for both
        // and the name. The read is volatile because glibc writes there.
        unsafe { start.add(index).read_volatile() }
    })
}

/// The word of this image's description that counts registrations; `None` unless exactly one does.
fn find_count() -> Option<usize> {
    unsafe extern "C" fn nothing(_: *mut c_void) {}

    static OWN: u8 = 0;
    let own: *mut c_void = (&raw const OWN).cast_mut().cast();
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::uninit();
    let mut map: *mut c_void = std::ptr::null_mut();
    // SAFETY: the address is inside this image; for this request the call stores a pointer to its description.
    let found = unsafe { libc::dladdr1(own, info.as_mut_ptr(), &raw mut map, RTLD_DL_LINKMAP) };
    // SAFETY: the description of this image, if there is one, stays as long as its code runs.
    let map = unsafe { map.cast::<LinkMap>().as_ref() }.filter(|_| found != 0)?;

    let mut candidates = [true; WORDS];
    for _ in 0..ROUNDS {
        let before = words_of(map);
        // SAFETY: the destructor does nothing, and this image stays until the thread has ended, which waits for it.
        unsafe { __cxa_thread_atexit_impl(nothing, std::ptr::null_mut(), own) };
        let after = words_of(map);
        for (index, candidate) in candidates.iter_mut().enumerate() {
            *candidate &= after[index] == before[index].wrapping_add(1);
        }
    }
    let mut counts = (0..WORDS).filter(|index| candidates[*index]);
    let place = counts.next()?;
    counts.next().is_none().then_some(place)
}

/// `dladdr1` request for the description of an image (`dlfcn.h`).
const RTLD_DL_LINKMAP: c_int = 2;

/// Often enough that nothing else counts along.
const ROUNDS: usize = 8;

unsafe extern "C" {
    /// Not declared by `libc`.
    fn __cxa_thread_atexit_impl(
        destructor: unsafe extern "C" fn(*mut c_void),
        object: *mut c_void,
        image: *mut c_void,
    ) -> c_int;
}
