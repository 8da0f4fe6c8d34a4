//! Mapped images: opening, redirecting imports, closing, and making sure that they are gone.

use std::ffi::{OsStr, OsString, c_void};
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::os::windows::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, Ordering};

use libloading::os::windows as loader;
use object::LittleEndian;
use object::pe::{self, ImageDataDirectory, ImageDosHeader, ImageNtHeaders64, ImageTlsDirectory64};
use windows_sys::Win32::Foundation::{FreeLibrary, HMODULE, MAX_PATH, NTSTATUS};
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleFileNameW,
    GetModuleHandleExW,
};
use windows_sys::Win32::System::Memory::{MEM_IMAGE, PAGE_READWRITE, VirtualProtect};
use windows_sys::Win32::System::ProcessStatus::K32GetMappedFileNameW;
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use super::resources::{region, resolve};
use crate::image::{ImageFile, TlsTemplate};
use crate::platform::{Redirect, Refused, Stayed};

/// An image that the loader has mapped for us.
#[derive(Debug)]
pub(crate) struct Library {
    /// The handle, which is the address of the image.
    base: usize,
    /// The file that is mapped there, as the system calls it.
    file: Vec<u16>,
    /// Where the image has its callbacks for the beginning and the end of threads, once they are kept from the loader.
    thread_callbacks: Option<u64>,
}

/// What opens a library on this platform.
pub(crate) const OPENS_LIBRARIES: &str = "LoadLibrary";

/// What to do about constructors that keep too much memory.
pub(crate) const EARLY_MEMORY_ADVICE: &str = "allocate later: the host can call an export for that";

/// Keeps threads from beginning and ending, for as long as it is there: at both the loader calls every image of the
/// process, also one that does not know its host yet, or that is about to go.
///
/// This is the loader's own lock. Whoever has it may load and unload libraries.
#[must_use]
pub(crate) struct LoaderLock {
    cookie: usize,
    /// Not `Send`: a thread gives back its own lock.
    _of_this_thread: PhantomData<*const ()>,
}

#[link(name = "ntdll")]
unsafe extern "system" {
    fn LdrLockLoaderLock(flags: u32, disposition: *mut u32, cookie: *mut usize) -> NTSTATUS;
    fn LdrUnlockLoaderLock(flags: u32, cookie: usize) -> NTSTATUS;
}

impl LoaderLock {
    /// Waits for the lock, which the calling thread may have already.
    pub(crate) fn take() -> Self {
        let mut cookie = 0;
        // SAFETY: without flags the call waits, and stores the number that gives the lock back. It fails for wrong
        // arguments only.
        unsafe { LdrLockLoaderLock(0, std::ptr::null_mut(), &mut cookie) };
        Self { cookie, _of_this_thread: PhantomData }
    }

    /// Gives the lock back, as dropping it does.
    pub(crate) fn release(self) {}
}

impl Drop for LoaderLock {
    fn drop(&mut self) {
        // SAFETY: the number is that of the lock, which this thread has: the value cannot leave it.
        unsafe { LdrUnlockLoaderLock(0, self.cookie) };
    }
}

impl Library {
    /// Maps a file that has been verified, binds its imports and runs its constructors.
    ///
    /// The loader looks for the libraries of the imports in the file's folder first. Those that lie beside `original`,
    /// which the file may be a copy of, are therefore loaded before, and taken by the loader for what it looks for.
    ///
    /// # Safety
    /// Running the image's constructors must be sound.
    pub(crate) unsafe fn open(path: &Path, original: &Path, image: &ImageFile) -> Result<Self, Refused> {
        if is_open(path) {
            return Err(Refused::Loaded);
        }
        // SAFETY: these libraries are part of what the caller guarantees for the image, which would have them loaded.
        let neighbours = unsafe { load_neighbours(path, original, image) }.map_err(Refused::Linking)?;
        // SAFETY: as the caller guarantees.
        let base = unsafe { load_file(path) }.map_err(Refused::Linking)?.into_raw() as usize;
        // The image holds those that it imports from.
        drop(neighbours);
        Ok(Self { base, file: mapped_file(base), thread_callbacks: None })
    }

    /// Has the image never be unmapped.
    pub(crate) fn stay(&self) {
        keep_module_at(self.base, GET_MODULE_HANDLE_EX_FLAG_PIN);
    }

    /// What the module's own `LoadLibrary` of this image returns.
    pub(crate) fn handle_address(&self) -> usize {
        self.base
    }

    /// The addresses that the image occupies.
    pub(crate) fn span(&self, image: &ImageFile) -> Range<usize> {
        self.address(image.span.start)..self.address(image.span.end)
    }

    /// The address of a relative virtual address of the file.
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
        for Redirect { slot, shim, original } in redirects {
            let slot = std::ptr::with_exposed_provenance::<AtomicPtr<()>>(self.address(slot));
            // SAFETY: the verifier found that the slot is aligned and inside a section.
            let slot = unsafe { &*slot };
            let address = slot.load(Ordering::Acquire);
            if address.is_null() {
                continue;
            }
            // In this order, because a thread that a constructor has started may use the slot.
            original.store(address, Ordering::Release);
            // SAFETY: the slot is mapped, and only this function changes the protection of its page.
            unsafe {
                with_write_access(slot.as_ptr().cast(), || {
                    slot.store(shim.cast_mut(), Ordering::Release);
                })?;
            }
        }
        if image.tls.is_some() {
            // SAFETY: the image has thread-local storage, and is ours alone, says the caller.
            unsafe { self.take_thread_callbacks()? };
        }
        Ok(())
    }

    /// Keeps the loader from calling the image's callbacks when a thread ends, which run destructors of its thread-local
    /// objects: it would do so before the host learns of the end, and while nobody knows that the module runs. The host
    /// has them called by the module's own function for that.
    ///
    /// # Safety
    /// The image must have thread-local storage, and no other code may change this part of its memory meanwhile.
    unsafe fn take_thread_callbacks(&mut self) -> io::Result<()> {
        // SAFETY: the image has a directory of thread-local storage, which nobody else changes, says the caller.
        unsafe {
            let place = &raw mut (*self.tls_directory()).address_of_call_backs;
            with_write_access(place.cast(), || {
                let callbacks = (*place).get(LittleEndian);
                (*place).set(LittleEndian, 0);
                self.thread_callbacks = Some(callbacks);
            })
        }
    }

    /// Lets the loader call the callbacks again: also for the end of the image. If the system does not allow it, they are
    /// never called again, which leaves something behind and breaks nothing.
    fn give_thread_callbacks_back(&mut self) {
        if let Some(callbacks) = self.thread_callbacks.take() {
            // SAFETY: the directory was there when the callbacks were taken, and is changed here only.
            unsafe {
                let place = &raw mut (*self.tls_directory()).address_of_call_backs;
                let _ = with_write_access(place.cast(), || (*place).set(LittleEndian, callbacks));
            }
        }
    }

    /// The image calls its own constructors, from its entry point, when the loader has mapped it.
    ///
    /// # Safety
    /// None; on other platforms the constructors run now.
    pub(crate) unsafe fn run_constructors(&self, _image: &ImageFile) {}

    /// The image has called its constructors when it is closed, and may call its destructors.
    ///
    /// # Safety
    /// None; on other platforms no code of the image may run any more.
    pub(crate) unsafe fn skip_destructors(&mut self, _image: &ImageFile) -> io::Result<()> {
        Ok(())
    }

    /// No destructor of a thread-local object keeps an image loaded on Windows.
    pub(crate) fn thread_local_destructors(&self) -> Option<usize> {
        None
    }

    /// Gives the calling thread's thread-local storage of the image its initial contents again.
    ///
    /// # Safety
    /// No code of the image may be running on this thread, and the destructors of its thread-local objects must have
    /// run.
    pub(crate) unsafe fn reset_thread_locals(&self, template: &TlsTemplate) {
        let size = |bytes| usize::try_from(bytes).expect("sizes have the size of this machine's");
        let initial = std::ptr::with_exposed_provenance::<u8>(self.address(template.vaddr));
        // SAFETY: the verifier found that index and template are inside the image. The loader gave every thread a block
        // of the template's size under that index, and nothing refers into it, says the caller.
        unsafe {
            let index = *std::ptr::with_exposed_provenance::<u32>(
                (*self.tls_directory()).address_of_index.get(LittleEndian) as usize,
            );
            let blocks: *const *mut u8;
            // The thread's array of blocks, `ThreadLocalStoragePointer` of its environment block.
            std::arch::asm!(
                "mov {}, gs:[0x58]",
                out(reg) blocks,
                options(nostack, preserves_flags, readonly)
            );
            let block = blocks.as_ref().map(|_| *blocks.add(index as usize)).unwrap_or_default();
            if !block.is_null() {
                std::ptr::copy_nonoverlapping(initial, block, size(template.filesz));
                block.add(size(template.filesz)).write_bytes(0, size(template.memsz - template.filesz));
            }
        }
    }

    /// The image's directory of thread-local storage; the loader has relocated the addresses in it.
    ///
    /// # Safety
    /// The image must have thread-local storage.
    unsafe fn tls_directory(&self) -> *mut ImageTlsDirectory64 {
        let at = |offset: usize| std::ptr::with_exposed_provenance_mut::<u8>(self.base + offset);
        // SAFETY: the image begins with its headers, which the verifier has checked, and has a directory of thread-local
        // storage, says the caller.
        unsafe {
            let dos = &*at(0).cast::<ImageDosHeader>();
            let headers = dos.e_lfanew.get(LittleEndian) as usize;
            let directories = at(headers + size_of::<ImageNtHeaders64>()).cast::<ImageDataDirectory>();
            let tls = &*directories.add(pe::IMAGE_DIRECTORY_ENTRY_TLS);
            at(tls.virtual_address.get(LittleEndian) as usize).cast()
        }
    }

    /// Closes the image, which runs its destructors, and makes sure that it is gone.
    ///
    /// # Safety
    /// Nothing may use the image or this library any more, if the image goes.
    pub(crate) unsafe fn close(&mut self) -> Result<(), Stayed> {
        let _lock = LoaderLock::take();
        let took_callbacks = self.thread_callbacks.is_some();
        self.give_thread_callbacks_back();
        // SAFETY: the handle is ours and is not used again, unless it is counted again below.
        unsafe { FreeLibrary(self.base as HMODULE) };
        // Another thread may have loaded another file to the same address by now.
        if !is_mapped(self.base) || mapped_file(self.base) != self.file {
            return Ok(());
        }
        // Counts one more handle of the image, which is still loaded.
        keep_module_at(self.base, 0);
        if took_callbacks {
            // SAFETY: the image has the directory that they were taken from. They could be given back just now; if they
            // cannot be taken any more, the loader calls what the module has already finished.
            let _ = unsafe { self.take_thread_callbacks() };
        }
        Err(Stayed)
    }
}

/// Loads the libraries that an image imports from and that lie beside its original, unless its own folder is that one,
/// or a library of the name is loaded already, which is what the loader would take.
///
/// # Safety
/// Running their constructors must be sound.
unsafe fn load_neighbours(
    path: &Path,
    original: &Path,
    image: &ImageFile,
) -> Result<Vec<loader::Library>, libloading::Error> {
    let Some(folder) = original.parent().filter(|folder| path.parent() != Some(folder)) else {
        return Ok(Vec::new());
    };
    let is_name = |name: &str| Path::new(name).file_name() == Some(name.as_ref());
    let is_loaded = |name: &str| loader::Library::open_already_loaded(name).is_ok();
    image
        .libraries
        .iter()
        .filter(|name| is_name(name) && !is_loaded(name))
        .map(|name| folder.join(&**name))
        .filter(|neighbour| neighbour.is_file())
        // SAFETY: running the constructors of these libraries is sound, says the caller.
        .map(|neighbour| unsafe { load_file(&neighbour) })
        .collect()
}

/// Loads a library by its absolute path.
///
/// # Safety
/// Running its constructors must be sound.
unsafe fn load_file(path: &Path) -> Result<loader::Library, libloading::Error> {
    let mut name = path.as_os_str().to_owned();
    let is_short = |name: &OsStr| name.len() < MAX_PATH as usize;
    if !is_short(&name)
        && let Ok(resolved) = resolve(path)
    {
        // Such names have to be in the form that takes no account of what is usual, which the resolved path is in.
        name = resolved.into();
    }
    if path.extension().is_none() {
        // By a final point, which is not part of a name in the usual form, the loader adds no extension.
        let usual = name.to_str().and_then(|name| name.strip_prefix(r"\\?\"));
        if let Some(usual) = usual.filter(|usual| usual.get(1..3) == Some(r":\") && is_short(usual.as_ref()))
        {
            name = usual.into();
        }
        name.push(".");
    }
    // The path is absolute: the flag makes the loader look for the imports in the file's folder first.
    // SAFETY: as the caller guarantees.
    unsafe { loader::Library::load_with_flags(name, loader::LOAD_WITH_ALTERED_SEARCH_PATH) }
}

/// Counts one more handle of the image at an address, or never unmaps it, by the flags.
fn keep_module_at(address: usize, flags: u32) {
    let mut module: HMODULE = std::ptr::null_mut();
    // SAFETY: with this flag the call takes any address instead of a name, and stores a handle if it succeeds.
    unsafe {
        GetModuleHandleExW(
            flags | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
            std::ptr::without_provenance(address),
            &mut module,
        )
    };
}

/// The path of the library that a handle is of; `None` if it is not loaded any more.
pub(crate) fn library_path(handle: usize) -> Option<PathBuf> {
    let mut path = vec![0; MAX_UNITS];
    // SAFETY: the call looks the handle up among those of loaded libraries, and stores at most as many units as it is
    // told there is room for.
    let len = unsafe {
        GetModuleFileNameW(std::ptr::without_provenance_mut(handle), path.as_mut_ptr(), path.len() as u32)
    };
    (len > 0).then(|| OsString::from_wide(&path[..len as usize]).into())
}

/// Whether an image is mapped at `base`, listed or not.
fn is_mapped(base: usize) -> bool {
    region(base).is_some_and(|region| region.Type == MEM_IMAGE && region.AllocationBase.addr() == base)
}

/// Paths have no more units than that.
const MAX_UNITS: usize = 1 << 15;

/// The file that is mapped at an address, as the system calls it: it knows also what the loader does not list. Empty if
/// there is none.
fn mapped_file(address: usize) -> Vec<u16> {
    let mut name = vec![0; MAX_UNITS];
    // SAFETY: the call accepts any address, and stores at most as many units as it is told there is room for.
    let len = unsafe {
        K32GetMappedFileNameW(
            GetCurrentProcess(),
            std::ptr::without_provenance(address),
            name.as_mut_ptr(),
            name.len() as u32,
        )
    };
    name.truncate(len as usize);
    name.shrink_to_fit();
    name
}

/// Runs `body` while the page of a word of the image may be written to.
///
/// # Errors
/// If the system does not change the protection; then `body` has not run, or the page stays writable.
///
/// # Safety
/// `slot` must be mapped, and no other code may change the protection of its page meanwhile.
unsafe fn with_write_access(slot: *const c_void, body: impl FnOnce()) -> io::Result<()> {
    let protect = |protection| {
        let mut before = 0;
        // SAFETY: the page is mapped, private and ours, says the caller; `before` gets its protection.
        match unsafe { VirtualProtect(slot, size_of::<usize>(), protection, &mut before) } {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(before),
        }
    };
    let before = protect(PAGE_READWRITE)?;
    body();
    protect(before).map(drop)
}

/// Whether the loader would return an image that it has already loaded: one of the same path, even if there is another
/// file by now.
fn is_open(path: &Path) -> bool {
    loader::Library::open_already_loaded(path).is_ok_and(|library| library.close().is_ok())
}

/// Changes the private copy so that the loader is willing to unmap it again: nothing in a file keeps Windows from that.
/// Constructors are called by code of the image itself, from its entry point, and cannot be left to us.
pub(crate) fn adapt_copy(_copy: &File, _image: &ImageFile) -> io::Result<()> {
    Ok(())
}
