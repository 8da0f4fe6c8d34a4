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
use relib_abi::metadata;

use super::build::{Build, check_build};
use super::compare::{Side as _, find_import};
use super::description::{InterfaceDescription, TypeInfo};
use super::error::LoadError;
use super::open::{open, verify};
use super::reader::Damaged;
use super::records::{HostDescription, ModuleDescription, ModuleInterface};
use crate::platform::OpenedFile;

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
    let OpenedFile { path, file, .. } = open(path.as_ref())?;
    let structure = verify(&file, &path)?.map(drop);
    let cache = ReadCache::new(file);
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
    let damaged = |Damaged(detail)| LoadError::damaged_metadata(&path, detail);
    let mut description = ModuleDescription::parse(&section, &[]).map_err(damaged)?;
    let build = description.build.take().ok_or(Damaged("there is no build record")).map_err(damaged)?;
    let interfaces = |interfaces: &mut dyn Iterator<Item = &ModuleInterface>| {
        interfaces.map(|interface| InterfaceInfo::of(&interface.description())).collect::<Vec<_>>()
    };
    Ok(Inspection {
        format,
        build: build.into_owned(),
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
        problems.extend(check_build(&host.build, &self.build, true, &self.path).err());
        let mut not_implemented = Vec::new();
        for wanted in &host.description.wanted {
            if !self.exports.iter().any(|export| export.name == wanted.name) {
                not_implemented.push(wanted.name.clone());
            } else if let Err(problem) = self.description.find_export(wanted) {
                problems.push(LoadError::mismatch(&self.path, &wanted.name, problem));
            }
        }
        let mut perhaps_missing = Vec::new();
        for import in &self.description.imports {
            let offers = host.description.provided.iter();
            let name = import.interface.name();
            if self.format == FileFormat::Pe && !offers.clone().any(|offer| offer.name == name) {
                perhaps_missing.push(name.to_owned());
            } else if let Err(problem) = find_import(&import.interface, offers) {
                problems.push(LoadError::mismatch(&self.path, name, problem));
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

#[cfg(test)]
mod tests {
    use object::pe;
    use object::write::pe::{NtHeaders, Writer};
    use relib_abi::metadata::{BUILD_PAYLOAD, MAGIC, RecordKind};
    use relib_interface::interface::ExportsHandle as _;

    use super::*;

    #[allow(dead_code, reason = "only the descriptions are used, and nobody implements the traits")]
    mod shared {
        use relib_interface::{Transfer, interface};

        #[derive(Transfer)]
        pub struct Player {
            pub name: String,
            pub place: (u8, u8),
        }

        #[interface]
        pub trait Game {
            fn join(player: Player) -> u32;
        }

        #[interface(imports)]
        pub trait Screen {
            fn show(line: &str);
        }
    }

    fn record(kind: RecordKind, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap().to_le_bytes();
        [&MAGIC[..], &[kind as u8, 0, 0, 0], &len, payload].concat()
    }

    fn export_payload(symbol: &str, interface: &[u8]) -> Vec<u8> {
        [&u32::try_from(symbol.len()).unwrap().to_le_bytes()[..], symbol.as_bytes(), interface].concat()
    }

    /// A DLL that has one section, and no code.
    fn dll(section: &str, contents: &[u8]) -> tempfile::NamedTempFile {
        let mut buffer = Vec::new();
        let mut writer = Writer::new(true, 0x1000, 0x200, &mut buffer);
        let mut name = [0; 8];
        name[..section.len()].copy_from_slice(section.as_bytes());
        let len = u32::try_from(contents.len()).unwrap();
        writer.reserve_dos_header_and_stub();
        writer.reserve_nt_headers(0);
        writer.reserve_section_headers(1);
        let range = writer.reserve_section(name, pe::IMAGE_SCN_CNT_INITIALIZED_DATA, len, len);
        writer.write_dos_header_and_stub().unwrap();
        writer.write_nt_headers(NtHeaders {
            machine: pe::IMAGE_FILE_MACHINE_AMD64,
            time_date_stamp: 0,
            characteristics: pe::IMAGE_FILE_DLL,
            major_linker_version: 0,
            minor_linker_version: 0,
            address_of_entry_point: 0,
            image_base: 0x1_8000_0000,
            major_operating_system_version: 6,
            minor_operating_system_version: 0,
            major_image_version: 0,
            minor_image_version: 0,
            major_subsystem_version: 6,
            minor_subsystem_version: 0,
            subsystem: pe::IMAGE_SUBSYSTEM_WINDOWS_CUI,
            dll_characteristics: pe::DllFlags::default(),
            size_of_stack_reserve: 0,
            size_of_stack_commit: 0,
            size_of_heap_reserve: 0,
            size_of_heap_commit: 0,
        });
        writer.write_section_headers();
        writer.write_section(range.file_offset, contents);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), buffer).unwrap();
        file
    }

    fn module() -> Vec<u8> {
        let exports = shared::ModuleGame::__RELIB_INTERFACE.payload;
        let imports = shared::ModuleScreen::__RELIB_INTERFACE.payload;
        [
            record(RecordKind::Build, BUILD_PAYLOAD),
            record(RecordKind::Export, &export_payload("__relib_export_Game", exports)),
            // Linkers pad between records.
            vec![0; 7],
            record(RecordKind::Import, imports),
        ]
        .concat()
    }

    #[test]
    fn a_dll_is_read_on_every_platform() {
        let file = dll(metadata::SECTION, &module());
        let module = inspect(file.path()).unwrap();
        assert_eq!(module.format, FileFormat::Pe);
        assert_eq!(module.build, Build::of_this_program());
        let [game] = module.exports.as_slice() else { panic!("{:?}", module.exports) };
        assert!(game.name.ends_with("::Game"), "{}", game.name);
        let player = "relib::file::inspect::tests::shared::Player";
        assert_eq!(game.functions, [format!("fn join(player: {player}) -> u32")]);
        assert_eq!(game.types[0].definition, format!("struct {player} {{ name: String, place: (u8, u8) }}"));
        assert_eq!(module.imports[0].functions, ["fn show(line: &str)"]);
        assert_eq!((module.main, module.before_unload), (None, false));
    }

    #[test]
    fn a_program_says_what_it_asks_for() {
        // What a host would call this for.
        assert_eq!(shared::ModuleGame::interfaces().len(), 1);
        let host = inspect_host(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(host.build, Build::of_this_program());
        assert!(host.wanted.iter().any(|interface| interface.name.ends_with("::Game")), "{:?}", host.wanted);
        let file = dll(metadata::SECTION, &module());
        let fit = inspect(file.path()).unwrap().fit(&host);
        assert!(fit.problems.is_empty(), "{:?}", fit.problems);
        assert!(
            !fit.not_implemented.iter().any(|name| name.ends_with("::Game")),
            "{:?}",
            fit.not_implemented
        );
        assert!(fit.perhaps_missing[0].ends_with("::Screen"), "{:?}", fit.perhaps_missing);
    }

    #[test]
    fn a_module_that_does_not_fit_is_told_as_by_a_load() {
        let payload = shared::ModuleGame::__RELIB_INTERFACE.payload;
        let mut build = BUILD_PAYLOAD.to_vec();
        let at = build.windows(5).position(|bytes| bytes == b"rustc").unwrap();
        build[at..at + 5].copy_from_slice(b"other");
        let host = [record(RecordKind::Build, &build), record(RecordKind::Wanted, payload)].concat();
        let host = inspect_host(dll(metadata::HOST_SECTION, &host).path()).unwrap();
        let fit = inspect(dll(metadata::SECTION, &module()).path()).unwrap().fit(&host);
        let [problem] = fit.problems.as_slice() else { panic!("{:?}", fit.problems) };
        assert!(
            problem.to_string().contains("different versions of rustc: the host with other "),
            "{problem}"
        );
    }

    #[test]
    fn what_is_no_host_is_a_named_error() {
        let message = |path: &Path| inspect_host(path).unwrap_err().to_string();
        let text = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(text.path(), "hello").unwrap();
        assert!(message(text.path()).ends_with("is neither an executable nor a library of Linux or Windows"));
        assert!(message(Path::new("/nowhere/host")).starts_with("cannot read /nowhere/host; give the path"));
        assert!(message(dll(".other", b"x").path()).contains("does not say what it asks of modules"));
        assert!(
            message(dll(metadata::HOST_SECTION, b"garbage").path())
                .ends_with("a record is cut short; build it again")
        );
        // A module's section is not a host's.
        assert!(
            message(dll(metadata::HOST_SECTION, &module()).path())
                .contains("a record that only a module has")
        );
    }
}
