//! Watching the sources of a project: its packages' folders without what cargo and version control write there.

use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use anyhow::{Context as _, Result};
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::event;
use super::project::Project;

/// Sends an event for each source that changes, for as long as the result exists.
pub fn start(project: &Project, events: Sender<event::Event>) -> Result<RecommendedWatcher> {
    let target_directory = project.target_directory.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // An error is one of reading the queue; what was lost shows at the next change.
        if let Ok(event) = event
            && changes_something(&event.kind)
        {
            for path in event.paths.into_iter().filter(|path| is_source(path, &target_directory)) {
                // Nobody listens any more when the session is over.
                let _ = events.send(event::Event::Changed(path));
            }
        }
    })
    .context("cannot watch files")?;
    for (folder, mode) in folders(project)? {
        watcher.watch(&folder, mode).with_context(|| {
            format!(
                "cannot watch {}; if the system's number of watches is used up, raise fs.inotify.max_user_watches",
                folder.display()
            )
        })?;
    }
    Ok(watcher)
}

/// The folders to watch. The target directory is left out already here: a watch in each of its folders would cost more
/// than the rest together.
fn folders(project: &Project) -> Result<Vec<(PathBuf, RecursiveMode)>> {
    let mut folders = Vec::new();
    let roots = [&project.root].into_iter().chain(&project.folders);
    for root in roots {
        folders.push((root.clone(), RecursiveMode::NonRecursive));
        for entry in root.read_dir().with_context(|| format!("cannot read {}", root.display()))? {
            let path = entry.with_context(|| format!("cannot read {}", root.display()))?.path();
            let is_package = project.folders.contains(&path);
            if path.is_dir() && !is_package && is_source(&path, &project.target_directory) {
                let is_above_package = project.folders.iter().any(|folder| folder.starts_with(&path));
                // Packages inside are watched for themselves.
                if !is_above_package {
                    folders.push((path, RecursiveMode::Recursive));
                }
            }
        }
    }
    folders.dedup_by(|a, b| a.0 == b.0);
    Ok(folders)
}

fn changes_something(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// Whether a file can be a part of the next build.
fn is_source(path: &Path, target_directory: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_editors =
        name.ends_with('~') || name.ends_with(".swp") || name.ends_with(".swx") || name == "4913";
    // Cargo writes the lock file itself.
    let is_cargos = path.starts_with(target_directory) || name == "Cargo.lock";
    let is_hidden = path.components().any(|part| part.as_os_str() == ".git");
    !is_editors && !is_cargos && !is_hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_and_editors_write_is_no_source() {
        let is_source = |path: &str| is_source(Path::new(path), Path::new("/p/target"));
        assert!(is_source("/p/module/src/lib.rs"));
        assert!(is_source("/p/module/assets/level.txt"));
        assert!(is_source("/p/Cargo.toml"));
        for other in
            ["/p/target/debug/x.so", "/p/.git/index", "/p/src/.lib.rs.swp", "/p/src/lib.rs~", "/p/Cargo.lock"]
        {
            assert!(!is_source(other), "{other}");
        }
    }
}
