//! Which packages of a workspace are the host and the modules.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand, Package, PackageId, TargetKind};

use super::arguments::Arguments;

/// A workspace with a host and modules.
pub struct Project {
    pub manifest: PathBuf,
    pub root: PathBuf,
    pub target_directory: PathBuf,
    pub release: bool,
    pub host: Member,
    pub modules: Vec<Member>,
    /// The folders of all packages that are not from a registry.
    pub folders: Vec<PathBuf>,
}

/// A package that is built.
pub struct Member {
    pub id: PackageId,
    pub name: String,
}

impl Member {
    fn of(package: &Package) -> Member {
        Member { id: package.id.clone(), name: package.name.to_string() }
    }
}

impl Project {
    pub fn find(arguments: &Arguments) -> Result<Project> {
        let mut command = MetadataCommand::new();
        if let Some(manifest) = &arguments.manifest_path {
            command.manifest_path(manifest);
        }
        let metadata = command.exec().context(
            "cargo cannot read the project; run this in a project's folder, or make one by cargo relib new",
        )?;
        let host = Member::of(host(&metadata, arguments.host.as_deref())?);
        let modules = modules(&metadata, &arguments.modules)?;
        let root = metadata.workspace_root.clone().into_std_path_buf();
        let own = metadata.packages.iter().filter(|package| package.source.is_none());
        let folders: BTreeSet<PathBuf> = own
            .filter_map(|package| package.manifest_path.parent())
            .map(|folder| folder.as_std_path().to_owned())
            .collect();
        Ok(Project {
            manifest: root.join("Cargo.toml"),
            root,
            target_directory: metadata.target_directory.clone().into_std_path_buf(),
            release: arguments.release,
            host,
            modules,
            folders: folders.into_iter().collect(),
        })
    }

    /// A path as people know it: from the project's folder.
    pub fn shown<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

fn depends_on(package: &Package, name: &str) -> bool {
    package.dependencies.iter().any(|dependency| dependency.name == name)
}

fn has_target(package: &Package, kind: &TargetKind) -> bool {
    package.targets.iter().any(|target| target.kind.contains(kind))
}

fn names(packages: &[&Package]) -> String {
    packages.iter().map(|package| package.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn host<'a>(metadata: &'a Metadata, name: Option<&str>) -> Result<&'a Package> {
    let members = metadata.workspace_packages();
    let hosts: Vec<&Package> = members
        .into_iter()
        .filter(|package| has_target(package, &TargetKind::Bin))
        .filter(|package| {
            name.map_or_else(|| depends_on(package, "relib"), |name| package.name.as_str() == name)
        })
        .collect();
    match (hosts.as_slice(), name) {
        ([host], _) => Ok(host),
        ([], Some(name)) => bail!("the workspace has no package `{name}` with a program"),
        ([], None) => {
            bail!("no package with a program depends on relib: which one is the host? Say so by --host")
        }
        (hosts, _) => bail!("several packages could be the host: {}; choose one by --host", names(hosts)),
    }
}

fn modules(metadata: &Metadata, wanted: &[String]) -> Result<Vec<Member>> {
    let members = metadata.workspace_packages();
    let modules: Vec<&Package> = members
        .into_iter()
        .filter(|package| has_target(package, &TargetKind::CDyLib) && depends_on(package, "relib_module"))
        .filter(|package| wanted.is_empty() || wanted.iter().any(|name| name == package.name.as_str()))
        .collect();
    if let Some(missing) =
        wanted.iter().find(|name| !modules.iter().any(|module| module.name.as_str() == *name))
    {
        bail!(
            "the workspace has no module `{missing}`: a package with crate-type \"cdylib\" that depends on relib_module"
        );
    }
    if modules.is_empty() {
        bail!("the workspace has no module: no package with crate-type \"cdylib\" depends on relib_module");
    }
    Ok(modules.into_iter().map(Member::of).collect())
}
