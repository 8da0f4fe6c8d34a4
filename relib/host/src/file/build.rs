//! What built a module or a host, and whether the two fit.

use std::path::Path;
use std::sync::LazyLock;

use relib_abi::metadata::{BUILD_PAYLOAD, RecordKind, record, record_len};
use relib_interface::interface::keep_record;

use super::error::{BuildPart, LoadError};
use super::reader::{Parsed, Reader};

/// What built a module or a host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Build {
    /// Version of the contract between the two images.
    pub abi_version: u32,
    /// Version of the relib crates.
    pub relib_version: String,
    /// The compiler: version, commit and LLVM version.
    pub rustc: String,
    /// The target triple.
    pub target: String,
    /// `unwind` or `abort`.
    pub panic_strategy: String,
}

const OWN_BUILD_LEN: usize = record_len(&[BUILD_PAYLOAD]);

/// What built this program, where tools find it in the program's file.
#[cfg_attr(not(windows), unsafe(link_section = ".relibh.build"))]
#[cfg_attr(windows, unsafe(link_section = ".relibh$build"))]
static OWN_BUILD: [u8; OWN_BUILD_LEN] = record(RecordKind::Build, &[BUILD_PAYLOAD]);

impl Build {
    /// Reads what a record says.
    pub(super) fn read(reader: &mut Reader<'_>) -> Parsed<Self> {
        let abi_version = reader.number32()?;
        Ok(Self {
            abi_version,
            relib_version: reader.text()?,
            rustc: reader.text()?,
            target: reader.text()?,
            panic_strategy: reader.text()?,
        })
    }

    /// What built this program.
    pub fn of_this_program() -> Self {
        Self::own().clone()
    }

    /// What built this program; read once.
    pub(crate) fn own() -> &'static Self {
        static OWN: LazyLock<Build> = LazyLock::new(|| {
            keep_record(&OWN_BUILD);
            Build::read(&mut Reader(BUILD_PAYLOAD))
                .expect("the payload was written by the same version of relib_abi")
        });
        &OWN
    }
}

/// Whether a host loads a module by what built the two; the compilers must be the same if values cross.
///
/// Versions of relib must be equal, and not only those of the contract: what a call does on its way is code of
/// `relib_interface` in both images.
pub(crate) fn check_build(
    host: &Build,
    module: &Build,
    values_cross: bool,
    path: &Path,
) -> Result<(), LoadError> {
    let same_relib = host.abi_version == module.abi_version && host.relib_version == module.relib_version;
    let differs = if !same_relib {
        Some(BuildPart::Relib)
    } else if values_cross && host.rustc != module.rustc {
        Some(BuildPart::Rustc)
    } else if host.target != module.target {
        Some(BuildPart::Target)
    } else {
        None
    };
    if let Some(part) = differs {
        let describe = |build: &Build| match part {
            BuildPart::Relib => format!("relib {} (contract {})", build.relib_version, build.abi_version),
            BuildPart::Rustc => build.rustc.clone(),
            BuildPart::Target => build.target.clone(),
        };
        let (host, module) = (describe(host), describe(module));
        return Err(LoadError::BuildMismatch { path: path.to_owned(), part, host, module });
    }
    if module.panic_strategy != "unwind" {
        return Err(LoadError::PanicAbort { path: path.to_owned() });
    }
    Ok(())
}
