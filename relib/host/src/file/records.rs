//! What a file's metadata holds: the records of a module, and those of a host.

use std::borrow::Cow;

use relib_abi::metadata::{BUILD_PAYLOAD, HEADER_LEN, MAGIC, RecordKind};
use relib_interface::interface::Interface;

use super::build::Build;
use super::description::InterfaceDescription;
use super::reader::{Damaged, Parsed, Reader};

/// The records of a module's metadata.
#[derive(Debug, Default)]
pub(crate) struct ModuleDescription {
    pub(crate) build: Option<Cow<'static, Build>>,
    pub(crate) exports: Vec<ExportDescription>,
    pub(crate) imports: Vec<ImportDescription>,
    pub(crate) main: Option<InterfaceDescription>,
    pub(crate) before_unload: bool,
    pub(crate) save_state: Option<InterfaceDescription>,
    pub(crate) restore_state: Option<InterfaceDescription>,
    pub(crate) migrate_state: Option<InterfaceDescription>,
}

/// An interface that the module implements.
#[derive(Debug)]
pub(crate) struct ExportDescription {
    /// Symbol of its table.
    pub(crate) symbol: String,
    pub(crate) interface: ModuleInterface,
}

/// An interface that the module calls.
#[derive(Debug)]
pub(crate) struct ImportDescription {
    /// Finds its table.
    pub(crate) id: u64,
    pub(crate) interface: ModuleInterface,
}

/// An interface of a module's.
#[derive(Debug)]
pub(crate) enum ModuleInterface {
    /// It has the very bytes of one of this program's: there is nothing to read, and nothing to compare.
    Same(&'static Interface),
    /// What its record says.
    Read(InterfaceDescription),
}

impl ModuleInterface {
    /// Reads what comes next in a payload, unless it is one of `own`.
    fn read(reader: &mut Reader<'_>, own: &[&'static Interface]) -> Parsed<Self> {
        match own.iter().find(|own| reader.skip(own.payload)) {
            Some(own) => Ok(Self::Same(own)),
            None => InterfaceDescription::read(reader).map(Self::Read),
        }
    }

    /// How many functions it has.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Same(own) => own.functions.len(),
            Self::Read(read) => read.functions.len(),
        }
    }
}

/// Reads the interface of a function that is exported by name, which is there once.
fn one_function(reader: &mut Reader<'_>, place: &mut Option<InterfaceDescription>) -> Parsed<()> {
    let interface = InterfaceDescription::read(reader)?;
    if interface.functions.len() != 1 || place.replace(interface).is_some() {
        return Err(Damaged("a function that is exported by name is not described as one function"));
    }
    Ok(())
}

/// Takes the records of a section apart.
fn records(mut section: &[u8]) -> impl Iterator<Item = Parsed<(RecordKind, &[u8])>> {
    let mut next = move || {
        // Linkers pad between the records of different objects.
        let padding = section.iter().take_while(|byte| **byte == 0).count();
        section = &section[padding..];
        if section.is_empty() {
            return Ok(None);
        }
        let header = section.get(..HEADER_LEN).ok_or(Damaged("a record is cut short"))?;
        if header[..4] != MAGIC || header[5..8] != [0; 3] {
            return Err(Damaged("a record does not start with its mark"));
        }
        let kind = RecordKind::from_number(header[4]).ok_or(Damaged("a record is of no known kind"))?;
        let len = u32::from_le_bytes(header[8..12].try_into().expect("four bytes")) as usize;
        let payload =
            section[HEADER_LEN..].get(..len).ok_or(Damaged("a record is longer than its section"))?;
        section = &section[HEADER_LEN + len..];
        Ok(Some((kind, payload)))
    };
    let mut damaged = false;
    std::iter::from_fn(move || {
        if damaged {
            return None;
        }
        let record = next().transpose();
        damaged = matches!(record, Some(Err(_)));
        record
    })
}

impl ModuleDescription {
    /// Reads the section of a module; `own` are interfaces of this program that the module is likely to have too.
    pub(crate) fn parse(section: &[u8], own: &[&'static Interface]) -> Parsed<Self> {
        let mut description = Self::default();
        for record in records(section) {
            let (kind, payload) = record?;
            description.add(kind, payload, own)?;
        }
        Ok(description)
    }

    fn add(&mut self, kind: RecordKind, payload: &[u8], own: &[&'static Interface]) -> Parsed<()> {
        let mut reader = Reader(payload);
        match kind {
            RecordKind::Build => {
                let build = if reader.skip(BUILD_PAYLOAD) {
                    Cow::Borrowed(Build::own())
                } else {
                    Cow::Owned(Build::read(&mut reader)?)
                };
                if self.build.replace(build).is_some() {
                    return Err(Damaged(
                        "there is more than one build record: two versions of relib_module are linked",
                    ));
                }
            }
            RecordKind::Export => {
                let symbol = reader.text()?;
                self.exports
                    .push(ExportDescription { symbol, interface: ModuleInterface::read(&mut reader, own)? });
            }
            RecordKind::Import => {
                let id = relib_abi::metadata::interface_id(payload);
                self.imports
                    .push(ImportDescription { id, interface: ModuleInterface::read(&mut reader, own)? });
            }
            RecordKind::Main => one_function(&mut reader, &mut self.main)?,
            RecordKind::SaveState => one_function(&mut reader, &mut self.save_state)?,
            RecordKind::RestoreState => one_function(&mut reader, &mut self.restore_state)?,
            RecordKind::MigrateState => one_function(&mut reader, &mut self.migrate_state)?,
            RecordKind::BeforeUnload => {
                InterfaceDescription::read(&mut reader)?;
                self.before_unload = true;
            }
            RecordKind::Wanted | RecordKind::Provided => {
                return Err(Damaged("it holds a record that only a host has"));
            }
        }
        reader.finish()
    }
}

/// The records of a host's file.
#[derive(Debug, Default)]
pub(crate) struct HostDescription {
    pub(crate) build: Option<Build>,
    pub(crate) wanted: Vec<InterfaceDescription>,
    pub(crate) provided: Vec<InterfaceDescription>,
}

impl HostDescription {
    /// Reads the section of a host.
    pub(crate) fn parse(section: &[u8]) -> Parsed<Self> {
        let mut description = Self::default();
        for record in records(section) {
            let (kind, payload) = record?;
            let mut reader = Reader(payload);
            match kind {
                // A host may link two versions of relib; what either loads has its own build record to fit.
                RecordKind::Build => description.build = Some(Build::read(&mut reader)?),
                RecordKind::Wanted => description.wanted.push(InterfaceDescription::read(&mut reader)?),
                RecordKind::Provided => description.provided.push(InterfaceDescription::read(&mut reader)?),
                _ => return Err(Damaged("it holds a record that only a module has")),
            }
            reader.finish()?;
        }
        Ok(description)
    }
}
