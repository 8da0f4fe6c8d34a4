//! The steps of a load: copy, verify, map. Nothing of the module runs before the last.

use std::fs::File;
#[cfg(feature = "reload")]
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

#[cfg(feature = "reload")]
use relib_interface::imports::ProvidedImports;
use relib_interface::interface::ExportsHandle;

use super::connect::{Disconnected, connect};
use super::options::LoadOptions;
use super::plan::{Imports, Plan, plan};
use super::staging::StagedFile;
use super::symbols;
use crate::file::{Holder, LoadError, Origin, verify};
use crate::image::ImageFile;
use crate::module::{Module, Parts, Reservation, SHORT_WAIT, Saving};
use crate::owned::{Early, Heap, PanicStore, Runtime, host_context};
use crate::platform::{self, Library, LoaderLock, OpenedFile, Refused};

/// A module's file as it will be loaded: a private copy, unless the options say otherwise. It need not have been verified.
pub(crate) struct Copied {
    path: PathBuf,
    options: LoadOptions,
    file: Arc<File>,
    origin: Origin,
    reservation: Reservation,
    staged: Option<StagedFile>,
}

impl Copied {
    /// Copies a file that [`open`] has opened.
    pub(crate) fn of(options: &LoadOptions, opened: OpenedFile) -> Result<Self, LoadError> {
        let separate = options.separate_instance && !options.in_place && !options.permanent;
        let holder = if options.permanent { Holder::Permanent } else { Holder::Module };
        let reservation = if separate { Reservation::none() } else { Reservation::of(&opened, holder)? };
        let origin = Origin::of(&opened);
        let OpenedFile { path, file, .. } = opened;
        let staged = if options.in_place || options.permanent {
            None
        } else {
            let staging = |source| LoadError::Staging { path: path.clone(), source };
            let parent = options.staging_directory.as_deref();
            Some(StagedFile::copy(&file, &origin, &path, parent).map_err(staging)?)
        };
        Ok(Self { path, options: options.clone(), file, origin, reservation, staged })
    }

    /// Another file of the same contents, for reading only: with one for writing a loader may refuse the copy.
    #[cfg(feature = "reload")]
    pub(crate) fn reopen(&self) -> io::Result<File> {
        match &self.staged {
            Some(staged) => File::open(staged.path()),
            None => self.file.try_clone(),
        }
    }

    /// Verifies the file for a host that calls `E` and provides `provided`, and makes a private copy ready to be mapped.
    #[cfg(feature = "reload")]
    pub(crate) fn verify<E: ExportsHandle>(
        self,
        provided: &[ProvidedImports],
    ) -> Result<Verified<E>, LoadError> {
        self.verify_for(Imports::Provided(provided))
    }

    /// As [`verify`](Self::verify), whatever the host has for the imports.
    pub(super) fn verify_for<E: ExportsHandle>(self, imports: Imports<'_>) -> Result<Verified<E>, LoadError> {
        let Self { path, options, file, mut origin, reservation, mut staged } = self;
        // A new copy is verified, whatever is known of the file: what was read may be something else.
        let mut new_copy = staged.as_mut().filter(|staged| !staged.is_sealed());
        let known = if new_copy.is_none() { origin.known_image() } else { None };
        let image = match known {
            Some(image) => Arc::clone(image),
            None => {
                let image = verify(new_copy.as_ref().map_or(&file, |staged| staged.file()), &path)??;
                origin.remember(&file, image)
            }
        };
        let plan = plan::<E>(&image, &path, imports)?;
        if let Some(staged) = &mut new_copy {
            let staging = |source| LoadError::Staging { path: path.clone(), source };
            platform::adapt_copy(staged.file(), &image).map_err(staging)?;
            staged.seal(origin.known_state());
        }
        Ok(Verified { path, options, reservation, staged, image, plan, exports: PhantomData })
    }
}

/// A module's file that has been verified for a host that calls `E`. Nothing of it has run.
pub(crate) struct Verified<E> {
    path: PathBuf,
    options: LoadOptions,
    reservation: Reservation,
    staged: Option<StagedFile>,
    image: Arc<ImageFile>,
    plan: Plan,
    exports: PhantomData<fn() -> E>,
}

impl<E: ExportsHandle> Verified<E> {
    /// Maps the image and connects it.
    ///
    /// # Safety
    /// As for [`load_module`](crate::load_module).
    pub(crate) unsafe fn map(self) -> Result<Module<E>, LoadError> {
        let Self { path, options, reservation, staged, image, plan, .. } = self;
        let heap = Heap::new().ok_or(LoadError::OutOfMemory)?;
        let runtime = Arc::new(Runtime::new(heap));
        let validated = options.validate_deallocations.then_some(path.as_path());
        let context = Box::new(host_context(&runtime, validated));
        if !options.permanent {
            symbols::settle();
        }
        // Until the module is connected.
        let lock = LoaderLock::take();
        // SAFETY: the file has been verified; running it is sound, says the caller.
        let library = match unsafe { open_image(&path, staged.as_ref(), &reservation, &image) } {
            Ok(library) => library,
            Err(error) => {
                // SAFETY: no image was connected, so nothing has used the heap.
                unsafe { heap.destroy() };
                return Err(error);
            }
        };
        if options.permanent {
            library.stay();
        }
        let parts = Box::new(Parts {
            path,
            permanent: options.permanent,
            descriptors: options.descriptors,
            runtime,
            context,
            library,
            early: Early::default(),
            image,
            copy: staged.map(|staged| Box::new(staged) as _),
            panics: Arc::new(PanicStore::default()),
            main: None,
            run_main: None,
            before_unload: None,
            saving: Saving::default(),
            reservation,
        });
        // SAFETY: the plan was made from the file that the library was loaded from, and nothing has used the module
        // yet.
        let connected = unsafe { connect::<E>(parts, plan, &options) };
        lock.release();
        match connected {
            Ok(module) => Ok(module),
            Err((mut parts, detail)) => {
                let path = parts.path.clone();
                // The constructors of a private copy have not run, so its destructors must not.
                // SAFETY: the module is refused: nothing of it runs any more, but for what closing it runs.
                let skipped =
                    parts.copy.is_none() || unsafe { parts.library.skip_destructors(&parts.image) }.is_ok();
                let module = Module::new(parts, ());
                if matches!(detail, Disconnected::Redirecting(_)) || !skipped {
                    // Its imports may lead to shims that do not know the host yet, so not even destructors of the image
                    // may run: it stays.
                    drop(module);
                } else {
                    discard(module);
                }
                Err(match detail {
                    Disconnected::EarlyMemory => LoadError::EarlyMemory { path },
                    Disconnected::ForeignAllocator => LoadError::ForeignAllocator { path },
                    Disconnected::Redirecting(source) => LoadError::Redirecting { path, source },
                    Disconnected::Damaged(detail) => LoadError::Damaged {
                        path,
                        detail: format!(
                            "the module's tables do not fit its metadata: {detail}; build it again"
                        ),
                    },
                })
            }
        }
    }
}

/// Maps the image of the file at `path`, which was verified, or of the private copy of it.
///
/// # Safety
/// Running the image's constructors must be sound.
unsafe fn open_image(
    path: &Path,
    staged: Option<&StagedFile>,
    reservation: &Reservation,
    image: &ImageFile,
) -> Result<Library, LoadError> {
    let open = |loaded: &Path| {
        // SAFETY: as the caller guarantees.
        unsafe { Library::open(loaded, path, image) }.map_err(|refused| match refused {
            Refused::Loaded => LoadError::PathInUse { path: path.to_owned() },
            Refused::Linking(source) => LoadError::Linking { path: path.to_owned(), source },
        })
    };
    if let Some(staged) = staged {
        return open(staged.path());
    }
    // The loader takes a path: what is there need not be what was verified, unless the system sees to that.
    let _held = platform::hold_in_place(path);
    let replaced = || LoadError::Replaced { path: path.to_owned() };
    if !reservation.is_at(path) {
        return Err(replaced());
    }
    let opened = open(path);
    if reservation.is_at(path) {
        return opened;
    }
    if let Ok(mut library) = opened {
        // SAFETY: nobody has been told of the image. If it stays, its path is refused from now on.
        let _ = unsafe { library.close() };
    }
    Err(replaced())
}

/// Takes back a load that went wrong after the image was mapped. If the image stays, so does its memory; and it is left
/// where it is if constructors have started threads, or left handlers for signals.
fn discard(module: Module<()>) {
    if module.refuse_if_in_use(Instant::now() + SHORT_WAIT).is_ok()
        && let Err(module) = module.close()
    {
        drop(module);
    }
}
