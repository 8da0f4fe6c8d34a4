//! The plugins that are loaded: finding them, telling their interfaces apart, replacing one while the others stay.
//!
//! It must not know where the commands come from.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fs, io};

use plugin_interface::{Application, ModuleCommand, ModuleTextFilter};
use relib::{ExportsHandle, InterfaceProblem, LoadError, Module, UnloadError};

#[relib::implement]
impl Application for ModuleApplicationImpl {
    fn log(line: &str) {
        println!("  [{line}]");
    }
}

/// A plugin by what it can do.
pub enum Plugin {
    Filter(Module<ModuleTextFilter>),
    Command(Module<ModuleCommand>),
}

impl Plugin {
    /// Loads a file as the first kind of plugin that it is.
    ///
    /// Nothing of a file runs while it is found out what it is: a file of another interface is refused before that.
    fn load(path: &Path) -> Result<Self, LoadError> {
        match load_as(path) {
            Err(LoadError::InterfaceMismatch { problem, .. })
                if matches!(*problem, InterfaceProblem::MissingInterface { .. }) =>
            {
                load_as(path).map(Self::Command)
            }
            result => result.map(Self::Filter),
        }
    }

    /// What the plugin says of itself; `None` if it panicked.
    pub fn describe(&self) -> Option<String> {
        match self {
            Self::Filter(filter) => filter.exports().describe(),
            Self::Command(command) => command.exports().describe(),
        }
    }

    /// Unloads it, or hands it back with the reason why that cannot be.
    fn unload(self) -> Result<(), Box<(UnloadError, Self)>> {
        fn of<E: ExportsHandle>(
            module: Module<E>,
            kind: fn(Module<E>) -> Plugin,
        ) -> Result<(), Box<(UnloadError, Plugin)>> {
            module.unload().map(drop).map_err(|failed| {
                let (error, module) = failed.into_parts();
                Box::new((error, kind(module)))
            })
        }
        match self {
            Self::Filter(module) => of(module, Self::Filter),
            Self::Command(module) => of(module, Self::Command),
        }
    }
}

fn load_as<E: ExportsHandle>(path: &Path) -> Result<Module<E>, LoadError> {
    // SAFETY: who puts files into the folder of plugins trusts them like the host itself.
    unsafe { relib::load_module(path, ModuleApplicationImpl) }
}

/// The loaded plugins by name, which is that of the file: `shout` for `libshout.so`.
#[derive(Default)]
pub struct Plugins(BTreeMap<String, Plugin>);

impl Plugins {
    /// Loads what is in a folder; also returns what could not be loaded, with the reasons.
    pub fn load_folder(folder: &Path) -> io::Result<(Self, Vec<(String, LoadError)>)> {
        let mut plugins = Self::default();
        let mut refused = Vec::new();
        for file in libraries(folder)? {
            let name = name_of(&file);
            match Plugin::load(&file) {
                Ok(plugin) => drop(plugins.0.insert(name, plugin)),
                Err(error) => refused.push((name, error)),
            }
        }
        Ok((plugins, refused))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &Plugin)> {
        self.0.iter()
    }

    pub fn get(&self, name: &str) -> Option<&Plugin> {
        self.0.get(name)
    }

    /// Loads a file in the place of the plugin of that name. If it cannot be loaded, or the old one not unloaded, the
    /// old one stays.
    pub fn replace(&mut self, file: &Path) -> Result<(), Box<dyn Error>> {
        let name = name_of(file);
        let new = Plugin::load(file)?;
        if let Err(error) = self.unload(&name) {
            // Dropping it would keep it loaded.
            new.unload().map_err(|failed| failed.0)?;
            return Err(error.into());
        }
        self.0.insert(name, new);
        Ok(())
    }

    /// Unloads the plugin of that name, if there is one. If it cannot be, it stays.
    pub fn unload(&mut self, name: &str) -> Result<(), UnloadError> {
        let Some(plugin) = self.0.remove(name) else { return Ok(()) };
        plugin.unload().map_err(|failed| {
            let (error, plugin) = *failed;
            self.0.insert(name.to_owned(), plugin);
            error
        })
    }
}

/// The dynamic libraries in a folder, by name.
fn libraries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|file| {
        file.extension().is_some_and(|extension| extension == std::env::consts::DLL_EXTENSION)
    });
    files.sort();
    Ok(files)
}

fn name_of(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    stem.strip_prefix(std::env::consts::DLL_PREFIX).unwrap_or(&stem).to_owned()
}
