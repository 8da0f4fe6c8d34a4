//! The accepted outcomes: `snapshots/<platform>/<profile>/<scenario>.snap`, in the format of `insta`.
//!
//! It must not know how an outcome came about. A `#[test]` asserts through insta, so that `cargo insta review` works;
//! the matrix compares without leaving a `.snap.new` behind and accepts by [`Snapshots::bless`].

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use insta::internals::TextSnapshotContents;
use insta::{Snapshot, TextSnapshotKind};

use crate::axes::{Platform, Profile};
use crate::outcome::OK_LINE;
use crate::scenario::ScenarioInfo;

/// The folder of the snapshots in the root of the workspace.
pub const SNAPSHOTS_DIR: &str = "snapshots";

/// The snapshots of one platform.
#[derive(Debug, Clone)]
pub struct Snapshots {
    folder: PathBuf,
}

/// How an outcome compares with the accepted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// They are the same.
    Same,
    /// Nothing has been accepted yet.
    New,
    /// They differ.
    Different {
        /// The accepted text.
        expected: String,
        /// The text of this run.
        found: String,
    },
}

impl Snapshots {
    /// The snapshots of this platform under `<root>/snapshots`.
    pub fn new(root: &Path, platform: Platform) -> Snapshots {
        Snapshots { folder: root.join(SNAPSHOTS_DIR).join(platform.id()) }
    }

    /// Where the snapshot of a scenario is.
    pub fn path(&self, profile: Profile, id: &str) -> PathBuf {
        self.folder.join(profile.id()).join(format!("{id}.snap"))
    }

    /// The accepted text of a scenario, if there is one.
    ///
    /// # Errors
    /// When the snapshot cannot be read.
    pub fn read(&self, profile: Profile, id: &str) -> Result<Option<String>, SnapshotError> {
        let path = self.path(profile, id);
        if !path.exists() {
            return Ok(None);
        }
        let snapshot = load(&path)?;
        match snapshot.as_text() {
            Some(text) => Ok(Some(text.to_string())),
            None => Err(SnapshotError::NotText { path }),
        }
    }

    /// Compares a text with the accepted one.
    ///
    /// # Errors
    /// When the snapshot cannot be read.
    pub fn compare(&self, profile: Profile, id: &str, found: &str) -> Result<Verdict, SnapshotError> {
        let Some(expected) = self.read(profile, id)? else {
            return Ok(Verdict::New);
        };
        let same = contents(&expected).matches_latest(&contents(found));
        Ok(if same {
            Verdict::Same
        } else {
            Verdict::Different { expected, found: found.trim_end().to_owned() }
        })
    }

    /// Accepts a text, as `cargo insta accept` does with what a failed assertion left.
    ///
    /// # Errors
    /// When the snapshot cannot be written.
    pub fn bless(&self, profile: Profile, id: &str, text: &str) -> Result<(), SnapshotError> {
        let path = self.path(profile, id);
        let pending = || {
            let file = tempfile::Builder::new().suffix(".snap.new").tempfile()?;
            fs::write(file.path(), format!("---\nsource: {}\n---\n{text}", file!()))?;
            Ok(file)
        };
        let pending = pending().map_err(|source| SnapshotError::Write { path: path.clone(), source })?;
        let snapshot = load(pending.path())?;
        snapshot.save(&path).map_err(|error| SnapshotError::Write { path, source: into_io(&*error) })
    }

    /// Asserts through insta that a text is the accepted one.
    ///
    /// # Panics
    /// When it is not.
    pub fn assert(&self, profile: Profile, id: &str, text: &str) {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(self.folder.join(profile.id()));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(id, text));
    }

    /// What the outcomes were accepted on, in words for a reader of the table, where the platform alone does not say it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn environment(&self) -> Result<Option<String>, SnapshotError> {
        let path = self.environment_path();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim_end().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SnapshotError::Read { path, source }),
        }
    }

    /// Notes what outcomes are accepted on; see [`Snapshots::environment`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_environment(&self, text: &str) -> Result<(), SnapshotError> {
        let path = self.environment_path();
        let written = fs::create_dir_all(&self.folder).and_then(|()| fs::write(&path, format!("{text}\n")));
        written.map_err(|source| SnapshotError::Write { path, source })
    }

    fn environment_path(&self) -> PathBuf {
        self.folder.join("environment.txt")
    }

    /// Whether anything has been accepted for the platform at all.
    pub fn any(&self) -> bool {
        Profile::ALL.iter().any(|profile| !self.names(*profile).is_empty())
    }

    /// The snapshots that belong to none of these scenarios, or to a profile that theirs does not run in.
    pub fn orphans(&self, scenarios: &[ScenarioInfo]) -> Vec<PathBuf> {
        let mut orphans = Vec::new();
        for &profile in Profile::ALL {
            let wanted =
                |id: &str| scenarios.iter().any(|known| known.id == id && known.profiles.contains(&profile));
            let names = self.names(profile).into_iter().filter(|id| !wanted(id));
            orphans.extend(names.map(|id| self.path(profile, &id)));
        }
        orphans
    }

    /// The names of the snapshots of a profile, sorted. A folder that is not there has none.
    fn names(&self, profile: Profile) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.folder.join(profile.id())) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".snap").map(str::to_owned))
            .collect();
        names.sort();
        names
    }
}

/// Whether the text of a snapshot is that of a scenario that passed.
pub fn is_ok(text: &str) -> bool {
    text.trim_start().lines().next() == Some(OK_LINE)
}

fn load(path: &Path) -> Result<Snapshot, SnapshotError> {
    Snapshot::from_file(path)
        .map_err(|error| SnapshotError::Read { path: path.to_owned(), source: into_io(&*error) })
}

fn contents(text: &str) -> TextSnapshotContents {
    TextSnapshotContents::new(text.to_owned(), TextSnapshotKind::File)
}

/// insta's errors are boxed without `Send`; their text is what matters.
fn into_io(error: &dyn std::error::Error) -> io::Error {
    io::Error::other(error.to_string())
}

/// Why a snapshot cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It cannot be read.
    Read {
        /// Its file.
        path: PathBuf,
        /// What insta said.
        source: io::Error,
    },
    /// It is a binary one.
    NotText {
        /// Its file.
        path: PathBuf,
    },
    /// It cannot be written.
    Write {
        /// Its file.
        path: PathBuf,
        /// What the system or insta said.
        source: io::Error,
    },
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::Read { path, .. } => {
                write!(f, "cannot read the snapshot {}; delete it and accept a new one", path.display())
            }
            SnapshotError::NotText { path } => {
                write!(f, "the snapshot {} is not text; delete it and accept a new one", path.display())
            }
            SnapshotError::Write { path, .. } => write!(f, "cannot write the snapshot {}", path.display()),
        }
    }
}

impl std::error::Error for SnapshotError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SnapshotError::Read { source, .. } | SnapshotError::Write { source, .. } => Some(source),
            SnapshotError::NotText { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "outcome: ok\nsum: 3\nlines:\n  ---\n  b\n";

    #[test]
    fn what_was_blessed_is_the_same_afterwards() {
        let root = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(root.path(), Platform::LinuxX86_64);
        assert!(!snapshots.any());
        assert_eq!(snapshots.compare(Profile::Debug, "a", TEXT).unwrap(), Verdict::New);

        snapshots.bless(Profile::Debug, "a", TEXT).unwrap();
        assert!(snapshots.any());
        assert!(root.path().join("snapshots/linux-x86_64/debug/a.snap").is_file());
        assert_eq!(snapshots.compare(Profile::Debug, "a", TEXT).unwrap(), Verdict::Same);
        assert_eq!(snapshots.compare(Profile::Release, "a", TEXT).unwrap(), Verdict::New);
        assert_eq!(snapshots.read(Profile::Debug, "a").unwrap().as_deref(), Some(TEXT.trim_end()));
        assert!(is_ok(&snapshots.read(Profile::Debug, "a").unwrap().unwrap()));
        // The form that `cargo test` asserts with agrees.
        snapshots.assert(Profile::Debug, "a", TEXT);
    }

    #[test]
    fn a_difference_leaves_no_file_behind() {
        let root = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(root.path(), Platform::LinuxX86_64);
        snapshots.bless(Profile::Debug, "a", TEXT).unwrap();
        let verdict = snapshots.compare(Profile::Debug, "a", "outcome: ok\nsum: 4\n").unwrap();
        assert_eq!(
            verdict,
            Verdict::Different { expected: TEXT.trim_end().into(), found: "outcome: ok\nsum: 4".into() }
        );
        let files = fs::read_dir(root.path().join("snapshots/linux-x86_64/debug")).unwrap().count();
        assert_eq!(files, 1);
    }

    #[test]
    fn a_snapshot_without_a_scenario_is_an_orphan() {
        let root = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(root.path(), Platform::LinuxX86_64);
        snapshots.bless(Profile::Release, "gone", TEXT).unwrap();
        assert_eq!(snapshots.orphans(&[]), [snapshots.path(Profile::Release, "gone")]);
    }

    #[test]
    fn the_first_line_decides() {
        assert!(is_ok("outcome: ok"));
        assert!(!is_ok("outcome: okay\n"));
        assert!(!is_ok("outcome: leak\nx: outcome: ok\n"));
        assert!(!is_ok(""));
    }
}
