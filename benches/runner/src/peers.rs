//! The modules of all sides, and how each is opened.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use bench_interface::{ModuleAbsent, ModuleExports};
use relib::{LoadError, LoadOptions};
use tempfile::TempDir;

/// The files that are loaded: copies, without what only debuggers read, so that all sides have files of the same kind.
pub struct Files {
    directory: TempDir,
    /// relib's module.
    pub module: PathBuf,
    /// The same code without relib.
    pub plain: PathBuf,
    /// The module of upstream's relib.
    pub upstream: PathBuf,
    /// What was built, for processes of their own.
    pub built: PathBuf,
}

impl Files {
    /// Copies what cargo has built in `built`, into a directory there: that of temporary files may be one in memory, whose
    /// files relib does not know again.
    pub fn prepare(built: &Path) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("relib-bench-").tempdir_in(built)?;
        let copy = |name: &str| -> Result<PathBuf> {
            let name = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
            let (from, to) = (built.join(&name), directory.path().join(&name));
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
            Ok(to)
        };
        let (module, plain, upstream) =
            (copy("bench_module")?, copy("bench_plain")?, copy("upstream_module")?);
        Ok(Self { module, plain, upstream, built: built.to_owned(), directory })
    }

    /// A place for files of a measurement.
    pub fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// Waits until relib remembers what it finds in the files: those that have just been written may be written again
    /// without a change of their times.
    pub fn settle(&self) {
        thread::sleep(Duration::from_secs(4));
    }

    /// Another copy of relib's module.
    pub fn another_module(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.path().join(format!("{name}-{}", file_name(&self.module)));
        fs::copy(&self.module, &path)?;
        Ok(path)
    }

    /// A copy of relib's module with bytes behind its end that nobody looks at, so that it has `len` bytes.
    pub fn padded_module(&self, name: &str, len: u64) -> Result<PathBuf> {
        let path = self.another_module(name)?;
        let present = fs::metadata(&path)?.len();
        if present < len {
            let padding = vec![0x5a; usize::try_from(len - present)?];
            std::io::Write::write_all(&mut fs::File::options().append(true).open(&path)?, &padding)?;
        }
        Ok(path)
    }
}

/// A file that changes before each load, as far as the system tells: relib does not know it.
pub struct Changing {
    path: PathBuf,
    file: File,
}

impl Changing {
    /// Opens the file.
    pub fn new(path: PathBuf) -> Result<Self> {
        Ok(Self { file: File::open(&path)?, path })
    }

    /// The path of the file, which has changed now.
    pub fn change(&self) -> Result<&Path> {
        self.file.set_modified(SystemTime::now())?;
        Ok(&self.path)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A loaded module of relib.
pub type Module = relib::Module<ModuleExports>;

/// Loads relib's module in place.
pub fn load_in_place(path: &Path) -> Result<Module> {
    // SAFETY: the module is ours.
    Ok(unsafe { LoadOptions::new().in_place(true).load(path, ())? })
}

/// Loads relib's module in place, for a host that asks for what it does not have: the file is opened and verified, and nothing
/// is mapped.
pub fn verify_in_place(path: &Path) -> Result<()> {
    // SAFETY: the module is ours.
    let refused = unsafe { LoadOptions::new().in_place(true).load::<ModuleAbsent>(path, ()) };
    anyhow::ensure!(
        matches!(refused, Err(LoadError::InterfaceMismatch { .. })),
        "the module was not refused"
    );
    Ok(())
}

/// Loads a private copy of relib's module, even if it is loaded already.
pub fn load_copy(path: &Path) -> Result<Module> {
    // SAFETY: the module is ours.
    Ok(unsafe { LoadOptions::new().separate_instance(true).load(path, ())? })
}

/// Unloads a module of relib.
pub fn unload(module: Module) -> Result<relib::Unloaded> {
    module.unload().map_err(|failed| anyhow::anyhow!("{failed}"))
}

/// The same code without relib.
pub struct Plain(libloading::Library);

impl Plain {
    /// Opens it.
    pub fn load(path: &Path) -> Result<Self> {
        // SAFETY: the library is ours, and has no constructors of its own.
        Ok(Self(unsafe { libloading::Library::new(path)? }))
    }

    /// Closes it.
    pub fn close(self) -> Result<()> {
        Ok(self.0.close()?)
    }

    /// A function of the library.
    ///
    /// # Safety
    /// `F` must be the type of the function `name`.
    pub unsafe fn function<F>(&self, name: &str) -> Result<libloading::Symbol<'_, F>> {
        // SAFETY: as the caller guarantees.
        Ok(unsafe { self.0.get(name.as_bytes())? })
    }
}

/// Loads the module of upstream's relib.
pub fn load_upstream(path: &Path) -> Result<upstream_host::Module> {
    // SAFETY: the module is upstream's.
    unsafe { upstream_host::load(path) }.map_err(|error| anyhow::anyhow!("upstream cannot load: {error}"))
}

/// Unloads a module of upstream's relib.
pub fn unload_upstream(module: upstream_host::Module) -> Result<()> {
    upstream_host::unload(module).map_err(|error| anyhow::anyhow!("upstream cannot unload: {error}"))
}
