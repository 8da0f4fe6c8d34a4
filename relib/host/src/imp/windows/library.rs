//! Mapped images: opening, redirecting imports, closing, and making sure that they are gone.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicPtr, Ordering};

use libloading::os::windows as loader;
use object::LittleEndian;
use object::pe::{self, ImageDataDirectory, ImageDosHeader, ImageNtHeaders64, ImageTlsDirectory64};
use relib_abi::entry::Redirect;
use windows_sys::Win32::Foundation::{FreeLibrary, HMODULE};
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
};
use windows_sys::Win32::System::Memory::{
    MEM_IMAGE, MEMORY_BASIC_INFORMATION, PAGE_READWRITE, VirtualProtect, VirtualQuery,
};
use windows_sys::Win32::System::ProcessStatus::K32GetMappedFileNameW;
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use crate::image::{ImageFile, TlsTemplate};
use crate::redirects::ByName;

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

/// Why an image was not mapped.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Somebody has loaded it already.
    Loaded,
    /// The loader has something against it.
    Linking(libloading::Error),
}

/// The image was closed and is still there. The library has been opened again and can be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stayed;

impl Library {
    /// Maps a file that has been verified, binds its imports and runs its constructors. `permanent` images are never
    /// unmapped.
    ///
    /// # Safety
    /// Running the image's constructors must be sound.
    pub(crate) unsafe fn open(path: &Path, permanent: bool) -> Result<Self, Refused> {
        if is_open(path) {
            return Err(Refused::Loaded);
        }
        // The path is absolute: the flag makes the loader look for the imports in the file's folder first.
        // SAFETY: as the caller guarantees.
        let library =
            unsafe { loader::Library::load_with_flags(path, loader::LOAD_WITH_ALTERED_SEARCH_PATH) };
        let base = library.map_err(Refused::Linking)?.into_raw() as usize;
        if permanent {
            keep_module_at(base, GET_MODULE_HANDLE_EX_FLAG_PIN);
        }
        Ok(Self { base, file: mapped_file(base), thread_callbacks: None })
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
        redirects: impl Iterator<Item = &'a Redirect>,
    ) -> io::Result<()> {
        let redirects = ByName::new(redirects);
        for (name, vaddr) in image.import_slots.iter() {
            let Some(redirect) = redirects.get(name) else { continue };
            let slot = std::ptr::with_exposed_provenance::<AtomicPtr<()>>(self.address(vaddr));
            // SAFETY: the verifier found that the slot is aligned and inside a section. `original` is an atomic of the
            // module.
            let (slot, original) = unsafe { (&*slot, &*redirect.original) };
            let address = slot.load(Ordering::Acquire);
            if address.is_null() {
                continue;
            }
            // In this order, because a thread that a constructor has started may use the slot.
            original.store(address, Ordering::Release);
            // SAFETY: the slot is mapped, and only this function changes the protection of its page.
            unsafe {
                with_write_access(slot.as_ptr().cast(), || {
                    slot.store(redirect.shim.cast_mut(), Ordering::Release);
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
        // SAFETY: as the caller guarantees.
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

/// Whether an image is mapped at `base`, listed or not.
fn is_mapped(base: usize) -> bool {
    region(base).is_some_and(|region| region.Type == MEM_IMAGE && region.AllocationBase.addr() == base)
}

/// The file that is mapped at an address, as the system calls it: it knows also what the loader does not list. Empty if
/// there is none.
fn mapped_file(address: usize) -> Vec<u16> {
    // Paths have no more units than that.
    let mut name = vec![0; 1 << 15];
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

/// What is at an address of this process.
pub(super) fn region(address: usize) -> Option<MEMORY_BASIC_INFORMATION> {
    let mut region = MaybeUninit::<MEMORY_BASIC_INFORMATION>::uninit();
    // SAFETY: the call takes any address, and fills in the description if it returns its size.
    unsafe {
        let size = VirtualQuery(
            std::ptr::without_provenance(address),
            region.as_mut_ptr(),
            size_of::<MEMORY_BASIC_INFORMATION>(),
        );
        (size == size_of::<MEMORY_BASIC_INFORMATION>()).then(|| region.assume_init())
    }
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
