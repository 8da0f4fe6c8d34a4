//! Mapped images: opening, redirecting imports, closing, and making sure that they are gone.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, Ordering};

use libloading::os::unix as loader;

use super::link_map::{LinkMap, link_map};
use super::pending;
use super::resources::page_size;
use crate::image::{ImageFile, TlsTemplate};
use crate::platform::{Redirect, Refused, Stayed};

/// An image that the dynamic loader has mapped for us.
#[derive(Debug)]
pub(crate) struct Library {
    path: PathBuf,
    /// Null if the image has stayed when it was closed, and could not be opened again.
    handle: *mut c_void,
    base: usize,
}

// SAFETY: a handle of the dynamic loader may be used on any thread.
unsafe impl Send for Library {}
// SAFETY: as for `Send`.
unsafe impl Sync for Library {}

/// What opens a library on this platform.
pub(crate) const OPENS_LIBRARIES: &str = "dlopen";

/// What to do about constructors that keep too much memory.
pub(crate) const EARLY_MEMORY_ADVICE: &str =
    "load a private copy, without LoadOptions::in_place and LoadOptions::permanent, or allocate later";

/// Elsewhere it keeps threads from beginning and ending: at both a loader may call images that do not know their host yet.
/// glibc calls none.
#[must_use]
pub(crate) struct LoaderLock;

impl LoaderLock {
    /// Takes nothing.
    pub(crate) fn take() -> Self {
        Self
    }

    /// Gives nothing back.
    pub(crate) fn release(self) {}
}

impl Library {
    /// Maps a file that has been verified, binds its imports and runs its constructors. Elsewhere libraries that the image
    /// is linked with are looked for beside the original.
    ///
    /// # Safety
    /// Running the image's constructors must be sound.
    pub(crate) unsafe fn open(path: &Path, original: &Path, _image: &ImageFile) -> Result<Self, Refused> {
        // A private copy has a path and a file of its own, which nobody else loads.
        let loaded = if path == original { LoadedImages::now() } else { LoadedImages::default() };
        // SAFETY: as the caller guarantees.
        let library = unsafe { loader::Library::open(Some(path), loader::RTLD_NOW | loader::RTLD_LOCAL) };
        let handle = library.map_err(Refused::Linking)?.into_raw();
        // SAFETY: the handle was just opened.
        let map = unsafe { link_map(handle) }.expect("the loader describes an image that it has just opened");
        let base = map.l_addr;
        // The loader has compared names and identities of files; nothing of the image has run for us. The name counts too,
        // because an image that another thread has closed meanwhile leaves its place to a new one.
        // SAFETY: the name of an open image ends with a zero byte and stays.
        if loaded.contains(base, unsafe { CStr::from_ptr(map.l_name) }) {
            // SAFETY: the handle is ours and is not used again.
            unsafe { libc::dlclose(handle) };
            return Err(Refused::Loaded);
        }
        Ok(Self { path: path.to_owned(), handle, base })
    }

    /// Has the image never be unmapped.
    pub(crate) fn stay(&self) {
        let path =
            CString::new(self.path.as_os_str().as_bytes()).expect("a path that was opened has no zero bytes");
        // SAFETY: the image is loaded, so this only marks it and counts one more handle of it.
        unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE) };
    }

    /// What the module's own `dlopen` of this image returns.
    pub(crate) fn handle_address(&self) -> usize {
        self.handle.addr()
    }

    /// The addresses that the image occupies.
    pub(crate) fn span(&self, image: &ImageFile) -> Range<usize> {
        self.address(image.span.start)..self.address(image.span.end)
    }

    /// The address of a virtual address of the file.
    pub(crate) fn address(&self, vaddr: u64) -> usize {
        self.base.wrapping_add(usize::try_from(vaddr).expect("addresses have the size of this machine's"))
    }

    /// Points imports of the image at shims, and tells each shim the address that its import had.
    ///
    /// # Errors
    /// If the system does not let the slots be written.
    ///
    /// # Safety
    /// `image` must describe this library, and the redirects must be its own module's. No other code of the image may
    /// run meanwhile.
    pub(crate) unsafe fn redirect<'a>(
        &mut self,
        image: &ImageFile,
        redirects: impl Iterator<Item = Redirect<'a>>,
    ) -> io::Result<()> {
        // After relocation the loader makes whole pages read-only: from the first, rounded down, to the last, rounded
        // down (glibc, `_dl_protect_relro`).
        let relro = image
            .relro
            .as_ref()
            .map(|relro| page_of(self.address(relro.start))..page_of(self.address(relro.end)));
        let protect = |protection| {
            let Some(relro) = relro.clone().filter(|relro| !relro.is_empty()) else { return Ok(()) };
            // SAFETY: the range is that of the image's relocated data, which nobody else changes the protection of.
            unsafe { set_protection(relro, protection) }
        };
        protect(libc::PROT_READ | libc::PROT_WRITE)?;
        for Redirect { slot, shim, original } in redirects {
            let slot = std::ptr::with_exposed_provenance::<AtomicPtr<()>>(self.address(slot));
            // SAFETY: the verifier found that the slot is aligned and inside a writable segment; it is in a page that
            // was made writable above, or that always is.
            let slot = unsafe { &*slot };
            let address = slot.load(Ordering::Acquire);
            // A weak import that is bound to nothing stays so: the module asks for that before it calls.
            if !address.is_null() {
                // In this order, because a thread that a constructor has started may use the slot.
                original.store(address, Ordering::Release);
                slot.store(shim.cast_mut(), Ordering::Release);
            }
        }
        protect(libc::PROT_READ)
    }

    /// Calls the constructors of an image whose private copy keeps the dynamic loader from doing so, in their order and
    /// with the arguments that it would pass (gABI, "Initialization and Termination Functions").
    ///
    /// # Safety
    /// `image` must describe this library; its constructors must not have run yet, and running them must be sound.
    pub(crate) unsafe fn run_constructors(&self, image: &ImageFile) {
        let Some(constructors) = &image.constructors else { return };
        let len = (constructors.array.end - constructors.array.start) as usize / size_of::<Constructor>();
        let array = std::ptr::with_exposed_provenance(self.address(constructors.array.start));
        // SAFETY: the verifier found that each element of the array is relocated to a function of the image.
        let array: &[Constructor] = unsafe { std::slice::from_raw_parts(array, len) };
        let (count, arguments, environment) = process_arguments::get();
        for constructor in array {
            // SAFETY: as the caller guarantees; the arguments are those of the process.
            unsafe { constructor(count, arguments, environment) };
        }
    }

    /// Keeps the dynamic loader from calling the destructors of an image whose constructors have not run, and that is about
    /// to be closed: it reads the size of their array from the mapped dynamic section (glibc, `_dl_call_fini`).
    ///
    /// # Errors
    /// If the system does not let the section be written.
    ///
    /// # Safety
    /// `image` must describe this library, and no code of it may run any more.
    pub(crate) unsafe fn skip_destructors(&mut self, image: &ImageFile) -> io::Result<()> {
        let Some(size) = &image.destructors_size else { return Ok(()) };
        let address = self.address(size.vaddr);
        let value = page_of(address)..address + size_of::<u64>();
        // SAFETY: the verifier found that the value is part of the image, whose code does not rely on the protection of its
        // pages any more. Nothing says that it is aligned.
        unsafe {
            set_protection(value, libc::PROT_READ | libc::PROT_WRITE)?;
            std::ptr::with_exposed_provenance_mut::<u64>(address).write_unaligned(0);
        }
        Ok(())
    }

    /// How many destructors of thread-local objects are registered with the C library for this image, which keep it
    /// loaded; `None` if the C library does not show it.
    pub(crate) fn thread_local_destructors(&self) -> Option<usize> {
        // SAFETY: the handle is open, or null.
        unsafe { link_map(self.handle) }.and_then(pending::thread_local_destructors)
    }

    /// Gives the calling thread's thread-local storage of the image its initial contents again.
    ///
    /// # Safety
    /// No code of the image may be running on this thread, and the destructors of its thread-local objects must have
    /// run.
    pub(crate) unsafe fn reset_thread_locals(&self, template: &TlsTemplate) {
        let mut block: *mut u8 = std::ptr::null_mut();
        if self.handle.is_null() {
            return;
        }
        // SAFETY: the handle is open; for this request the call stores a pointer: the thread's block, or null if it has none yet.
        let result = unsafe { libc::dlinfo(self.handle, RTLD_DI_TLS_DATA, (&raw mut block).cast()) };
        if result != 0 {
            return;
        }
        if block.is_null() {
            // Either the thread has none yet, or it is in the static storage, which code reaches without the loader's table
            // of the thread: then that table may be older than the image, and the question above answers from it (glibc,
            // `_dl_tls_get_addr_soft`).
            let mut module = 0_usize;
            // SAFETY: the handle is open; for this request the call stores the image's number among those with
            // thread-local storage.
            let result = unsafe { libc::dlinfo(self.handle, RTLD_DI_TLS_MODID, (&raw mut module).cast()) };
            if result != 0 || module == 0 {
                return;
            }
            // SAFETY: the image of this number is loaded as long as the handle is open. The call brings the table up to
            // date and finds the block, or makes it.
            block = unsafe { __tls_get_addr(&TlsIndex { module, offset: 0 }) }.cast();
        }
        let size = |bytes| usize::try_from(bytes).expect("sizes have the size of this machine's");
        let initial = std::ptr::with_exposed_provenance::<u8>(self.address(template.vaddr));
        // SAFETY: the verifier found that the template is inside the image; the block has the template's size, and
        // nothing refers into it, says the caller.
        unsafe {
            std::ptr::copy_nonoverlapping(initial, block, size(template.filesz));
            block.add(size(template.filesz)).write_bytes(0, size(template.memsz - template.filesz));
        }
    }

    /// Closes the image, which runs its destructors, and makes sure that it is gone.
    ///
    /// # Safety
    /// Nothing may use the image or this library any more, if the image goes.
    pub(crate) unsafe fn close(&mut self) -> Result<(), Stayed> {
        let path =
            CString::new(self.path.as_os_str().as_bytes()).expect("a path that was opened has no zero bytes");
        if !self.handle.is_null() {
            // SAFETY: the handle is ours and is not used again.
            unsafe { libc::dlclose(self.handle) };
        }
        if !is_loaded(&path, self.base) {
            return Ok(());
        }
        // SAFETY: the image is still loaded, so this only counts one more handle of it.
        self.handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) };
        Err(Stayed)
    }
}

/// Where the page with an address begins.
fn page_of(address: usize) -> usize {
    address / page_size() * page_size()
}

/// Changes what may be done with the pages of a range that begins with a page.
///
/// # Safety
/// The pages must be mapped, and nobody may rely on what could be done with them before.
unsafe fn set_protection(range: Range<usize>, protection: c_int) -> io::Result<()> {
    let start = std::ptr::without_provenance_mut(range.start);
    // SAFETY: as the caller guarantees.
    match unsafe { libc::mprotect(start, range.len(), protection) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// An element of an array of constructors, as glibc calls it.
type Constructor = unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char);

/// The arguments of the process, as the dynamic loader passes them to constructors. `std` of a module reads
/// `std::env::args` from there.
mod process_arguments {
    use std::ffi::{c_char, c_int};
    use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

    static COUNT: AtomicI32 = AtomicI32::new(0);
    static ARGUMENTS: AtomicPtr<*const c_char> = AtomicPtr::new(std::ptr::null_mut());
    static ENVIRONMENT: AtomicPtr<*const c_char> = AtomicPtr::new(std::ptr::null_mut());

    /// Makes the dynamic loader call `remember` with the arguments when it has mapped this image.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static REMEMBER: super::Constructor = remember;

    unsafe extern "C" fn remember(
        count: c_int,
        arguments: *const *const c_char,
        environment: *const *const c_char,
    ) {
        COUNT.store(count, Ordering::Relaxed);
        ARGUMENTS.store(arguments.cast_mut(), Ordering::Relaxed);
        ENVIRONMENT.store(environment.cast_mut(), Ordering::Relaxed);
    }

    pub(super) fn get() -> (c_int, *const *const c_char, *const *const c_char) {
        (
            COUNT.load(Ordering::Relaxed),
            ARGUMENTS.load(Ordering::Relaxed),
            ENVIRONMENT.load(Ordering::Relaxed),
        )
    }
}

/// `dlinfo` request for the number of an image among those with thread-local storage (`dlfcn.h`).
const RTLD_DI_TLS_MODID: c_int = 9;

/// What `__tls_get_addr` takes (ELF Handling For Thread-Local Storage, `tls_index`).
#[repr(C)]
struct TlsIndex {
    module: usize,
    offset: usize,
}

unsafe extern "C" {
    /// The address of an offset in the calling thread's block of an image (ELF Handling For Thread-Local Storage).
    fn __tls_get_addr(index: *const TlsIndex) -> *mut c_void;
}

/// `dlinfo` request for the address of the calling thread's block of an image (`dlfcn.h`).
const RTLD_DI_TLS_DATA: c_int = 10;

/// The path of the library that a handle is of; `None` if it is not loaded any more, or is the program itself.
pub(crate) fn library_path(handle: usize) -> Option<PathBuf> {
    struct Search {
        program: *const LinkMap,
        handle: usize,
        found: Option<PathBuf>,
    }

    // It looks at the whole list when it is called for the first image: during the call nothing is added or taken out.
    unsafe extern "C" fn walk(_info: *mut libc::dl_phdr_info, _size: usize, search: *mut c_void) -> c_int {
        // SAFETY: the loader passes on the pointer that it was given below. The entries of its list and their names are
        // valid during the call.
        unsafe {
            let search = &mut *search.cast::<Search>();
            let mut next = search.program;
            while let Some(map) = next.as_ref() {
                if next.addr() == search.handle {
                    let name = CStr::from_ptr(map.l_name).to_bytes();
                    search.found = (!name.is_empty()).then(|| OsStr::from_bytes(name).into());
                }
                next = map.l_next;
            }
        }
        1
    }

    // SAFETY: a handle is the address of the image's entry in the list; that of the program is the first, and stays. The
    // callback does not unwind; `search` outlives the call.
    unsafe {
        let program = libc::dlopen(std::ptr::null(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
        let mut search = Search { program: program.cast::<LinkMap>().cast_const(), handle, found: None };
        libc::dl_iterate_phdr(Some(walk), (&raw mut search).cast());
        libc::dlclose(program);
        search.found
    }
}

/// Whether the loader still lists the image.
///
/// The list, and not `/proc/self/maps`, says whether an image is loaded: a symboliser maps the same file for reading.
fn is_loaded(path: &CStr, base: usize) -> bool {
    let mut found = false;
    for_each_image(|other_base, name| {
        found = other_base == base && name == path;
        !found
    });
    found
}

/// The images that the loader lists at some time.
#[derive(Default)]
struct LoadedImages {
    /// Where each is, and where its name ends that starts at the end of the one before.
    images: Vec<(usize, usize)>,
    names: Vec<u8>,
}

impl LoadedImages {
    fn now() -> Self {
        const USUAL: usize = 32;
        const USUAL_NAME: usize = 64;
        let (mut images, mut names) = (Vec::with_capacity(USUAL), Vec::with_capacity(USUAL * USUAL_NAME));
        for_each_image(|base, name| {
            names.extend_from_slice(name.to_bytes());
            images.push((base, names.len()));
            true
        });
        Self { images, names }
    }

    fn contains(&self, base: usize, name: &CStr) -> bool {
        let mut start = 0;
        self.images.iter().any(|(other_base, end)| {
            let other_name = &self.names[std::mem::replace(&mut start, *end)..*end];
            *other_base == base && other_name == name.to_bytes()
        })
    }
}

/// Calls `visit` with base and name of each image that the loader lists, for as long as it returns true. It must neither
/// unwind nor call the loader.
fn for_each_image<F: FnMut(usize, &CStr) -> bool>(mut visit: F) {
    unsafe extern "C" fn call<F: FnMut(usize, &CStr) -> bool>(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        visit: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader passes on the pointer that it was given below, and a description that is valid during
        // the call, with a name that ends with a zero byte.
        let (visit, base, name) = unsafe {
            let info = &*info;
            (&mut *visit.cast::<F>(), info.dlpi_addr, CStr::from_ptr(info.dlpi_name))
        };
        c_int::from(!visit(base as usize, name))
    }

    // SAFETY: the callback fits its context, which outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(call::<F>), (&raw mut visit).cast()) };
}

/// Changes the private copy so that the dynamic loader is willing to unmap it again, and leaves its constructors to us.
///
/// glibc never unmaps a library with `DF_1_NODELETE`, nor one that defines a symbol with `STB_GNU_UNIQUE` binding which
/// somebody was bound to. The first is cleared; the latter become ordinary global symbols, which only means that the
/// module uses its own definition instead of one that another library may have brought before it.
///
/// With an array of constructors of size zero glibc calls none. They are called when the module has its heap and its
/// imports lead to the host, so that what they allocate, start and register is known like everything else.
pub(crate) fn adapt_copy(copy: &File, image: &ImageFile) -> io::Result<()> {
    const STB_GLOBAL: u8 = 1;

    if let Some(flags) = image.flags_1.filter(|flags| flags.nodelete()) {
        copy.write_all_at(&flags.without_nodelete().to_le_bytes(), flags.file_offset)?;
    }
    for symbol in &image.unique_symbols {
        let mut info = [0];
        copy.read_exact_at(&mut info, symbol.st_info_offset)?;
        copy.write_all_at(&[STB_GLOBAL << 4 | info[0] & 0xf], symbol.st_info_offset)?;
    }
    if let Some(constructors) = &image.constructors {
        copy.write_all_at(&0u64.to_le_bytes(), constructors.size.file_offset)?;
    }
    Ok(())
}
