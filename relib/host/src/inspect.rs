//! What a file says of itself: of a module, what it was built by and what it offers and asks for; of a host, what it asks
//! modules for and provides to them. Nothing is loaded, and the file may be for another platform.
//!
//! It must not know how a module is loaded; it shares with the load what reads and compares descriptions.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use object::read::{ReadCache, ReadRef};
use object::{BinaryFormat, Object as _, ObjectSection as _};
use relib_abi::{metadata, symbol};

use crate::description::{Build, Damaged, HostDescription, InterfaceDescription, ModuleDescription};
use crate::error::LoadError;
use crate::image;
use crate::load;

pub use crate::description::TypeInfo;

/// What a module's file says of itself.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// The file, by the path without links.
    pub path: PathBuf,
    /// The format of the file.
    pub format: FileFormat,
    /// What the module was built by.
    pub build: Build,
    /// The interfaces that it implements.
    pub exports: Vec<InterfaceInfo>,
    /// The interfaces that it calls.
    pub imports: Vec<InterfaceInfo>,
    /// The signature of its `main`, if it has one.
    pub main: Option<String>,
    /// Whether it has a `before_unload`.
    pub before_unload: bool,
    /// The state that it saves when it is reloaded, if it does.
    pub saved_state: Option<String>,
    /// Whether relib would load the file on *this* platform, by the file's structure alone.
    pub structure: Result<(), LoadError>,
    description: ModuleDescription,
}

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileFormat {
    /// Of Linux.
    Elf,
    /// Of Windows.
    Pe,
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elf => "ELF",
            Self::Pe => "PE",
        })
    }
}

/// An interface with its functions as they are written in source code.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterfaceInfo {
    /// Crate and trait: `shared::Exports`.
    pub name: String,
    /// The signatures: `fn greet(name: &str) -> String`.
    pub functions: Vec<String>,
    /// The structs and enums that cross, in the order of their names.
    pub types: Vec<TypeInfo>,
}

impl InterfaceInfo {
    fn of(interface: &InterfaceDescription) -> Self {
        Self {
            name: interface.name.clone(),
            functions: interface.functions.iter().map(|function| interface.signature(function)).collect(),
            types: interface.user_types(),
        }
    }
}

/// Reads what the module at `path` says of itself, without loading it.
///
/// The file may be for another platform than this program.
///
/// ```no_run
/// # fn main() -> Result<(), relib::LoadError> {
/// let module = relib::inspect("target/debug/libmodule.so")?;
/// for interface in &module.exports {
///     println!("{}: {}", interface.name, interface.functions.join(", "));
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the file cannot be read, is broken, or is not a module.
pub fn inspect(path: impl AsRef<Path>) -> Result<Inspection, LoadError> {
    let (path, file) = load::open(path.as_ref())?;
    let inaccessible = |source| LoadError::Inaccessible { path: path.clone(), source };
    let len = file.metadata().map_err(inaccessible)?.len();
    let cache = ReadCache::new(file);
    let structure = image::inspect(&cache, len, symbol::PREFIX)
        .map(drop)
        .map_err(|error| load::image_error(path.clone(), error));
    // What is broken is said best by what verifies it; a file for another platform is not broken.
    let Ok((format, section)) = section_of(&cache, metadata::SECTION) else {
        return Err(structure.err().unwrap_or(LoadError::NotAModule { path }));
    };
    if section.is_empty() {
        return Err(match structure {
            Err(error @ (LoadError::Truncated { .. } | LoadError::Empty { .. })) => error,
            _ => LoadError::NotAModule { path },
        });
    }
    let damaged = |Damaged(detail)| load::damaged_metadata(&path, detail);
    let mut description = ModuleDescription::parse(&section).map_err(damaged)?;
    let build = description.build.take().ok_or(Damaged("there is no build record")).map_err(damaged)?;
    let interfaces = |interfaces: &mut dyn Iterator<Item = &InterfaceDescription>| {
        interfaces.map(InterfaceInfo::of).collect::<Vec<_>>()
    };
    Ok(Inspection {
        format,
        build,
        exports: interfaces(&mut description.exports.iter().map(|export| &export.interface)),
        imports: interfaces(&mut description.imports.iter().map(|import| &import.interface)),
        main: description.main.as_ref().map(|main| main.signature(&main.functions[0])),
        before_unload: description.before_unload,
        saved_state: description.save_state.as_ref().map(InterfaceDescription::returned_in_words),
        structure,
        description,
        path,
    })
}

/// How a module fits a host.
#[derive(Debug)]
#[non_exhaustive]
pub struct Fit {
    /// Why the host would refuse the module; empty if it would not.
    pub problems: Vec<LoadError>,
    /// Interfaces that the host asks modules for and that this one does not implement. Which of its modules a host asks
    /// for which interfaces does not stand in its file.
    pub not_implemented: Vec<String>,
    /// Interfaces of which the module has metadata and that the host does not provide, in a PE file: its linker keeps
    /// also those that the module never calls.
    pub perhaps_missing: Vec<String>,
}

impl Inspection {
    /// Compares with a host, by the rules of a load.
    pub fn fit(&self, host: &HostInspection) -> Fit {
        let mut problems = Vec::new();
        problems.extend(load::check_build(&host.build, &self.build, true, &self.path).err());
        let mut not_implemented = Vec::new();
        for wanted in &host.description.wanted {
            if !self.exports.iter().any(|export| export.name == wanted.name) {
                not_implemented.push(wanted.name.clone());
            } else if let Err(problem) = self.description.find_export(wanted) {
                problems.push(load::mismatch(&self.path, &wanted.name, problem));
            }
        }
        let mut perhaps_missing = Vec::new();
        for import in &self.description.imports {
            let offers = host.description.provided.iter();
            let name = &import.interface.name;
            if self.format == FileFormat::Pe && !offers.clone().any(|offer| offer.name == *name) {
                perhaps_missing.push(name.clone());
            } else if let Err(problem) = crate::description::find_import(&import.interface, offers) {
                problems.push(load::mismatch(&self.path, name, problem));
            }
        }
        Fit { problems, not_implemented, perhaps_missing }
    }
}

/// What a host's file says of itself.
#[derive(Debug)]
#[non_exhaustive]
pub struct HostInspection {
    /// The file.
    pub path: PathBuf,
    /// What the host was built by.
    pub build: Build,
    /// The interfaces that it asks modules for.
    pub wanted: Vec<InterfaceInfo>,
    /// The interfaces that it provides to modules.
    pub provided: Vec<InterfaceInfo>,
    description: HostDescription,
}

/// Reads what the host at `path` (an executable or a library that loads modules) says of itself, without running it.
///
/// # Errors
/// If the file cannot be read, is no executable or library, or does not load modules by relib.
pub fn inspect_host(path: impl AsRef<Path>) -> Result<HostInspection, InspectHostError> {
    let path = path.as_ref().to_owned();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(source) => return Err(InspectHostError::Read { path, source }),
    };
    let (_, section) = match section_of(&ReadCache::new(file), metadata::HOST_SECTION) {
        Ok(section) => section,
        Err(source) => return Err(InspectHostError::Parse { path, source }),
    };
    let damaged = |Damaged(detail)| InspectHostError::Damaged { path: path.clone(), detail };
    let mut description = HostDescription::parse(&section).map_err(damaged)?;
    let Some(build) = description.build.take() else {
        return Err(InspectHostError::NotAHost { path });
    };
    let interfaces = |interfaces: &[InterfaceDescription]| interfaces.iter().map(InterfaceInfo::of).collect();
    Ok(HostInspection {
        build,
        wanted: interfaces(&description.wanted),
        provided: interfaces(&description.provided),
        description,
        path,
    })
}

/// Format of a file, and the contents of the sections `name` and `name.*`, one after the other.
fn section_of<'data, R: ReadRef<'data>>(
    data: R,
    name: &str,
) -> Result<(FileFormat, Vec<u8>), object::read::Error> {
    let file = object::File::parse(data)?;
    let format = if file.format() == BinaryFormat::Elf { FileFormat::Elf } else { FileFormat::Pe };
    let mut contents = Vec::new();
    for section in file.sections() {
        let is_part =
            section.name()?.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if is_part {
            contents.extend_from_slice(section.data()?);
        }
    }
    Ok((format, contents))
}

/// Why a host's file says nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum InspectHostError {
    /// The file cannot be opened.
    Read {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is neither an executable nor a library.
    Parse {
        /// The path.
        path: PathBuf,
        /// What does not parse.
        source: object::read::Error,
    },
    /// The program does not load modules by relib.
    NotAHost {
        /// The path.
        path: PathBuf,
    },
    /// What the file says of itself does not parse.
    Damaged {
        /// The path.
        path: PathBuf,
        /// What does not parse.
        detail: &'static str,
    },
}

impl fmt::Display for InspectHostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, .. } => {
                write!(
                    f,
                    "cannot read {}; give the path of the built host, such as target/debug/host",
                    path.display()
                )
            }
            Self::Parse { path, .. } => {
                write!(f, "{} is neither an executable nor a library of Linux or Windows", path.display())
            }
            Self::NotAHost { path } => write!(
                f,
                "{} does not say what it asks of modules: it loads none by relib, was built by a relib before that \
                 was recorded, or its sections have been removed; build it again",
                path.display()
            ),
            Self::Damaged { path, detail } => {
                write!(f, "what {} says of itself is damaged: {detail}; build it again", path.display())
            }
        }
    }
}

impl Error for InspectHostError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Parse { source, .. } => Some(source),
            Self::NotAHost { .. } | Self::Damaged { .. } => None,
        }
    }
}
