//! What a process holds at a moment, and what it holds more of later.
//!
//! It must not know who took the things: it sees the process from outside, through what the system says about it, so
//! that it can contradict the bookkeeping of the code under test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod imp;

/// How long a thing that is about to go may take: a thread that was joined still shows in `/proc/self/task` for a
/// moment.
const GRACE: Duration = Duration::from_secs(2);

/// An open descriptor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Descriptor {
    /// Its number.
    pub number: i32,
    /// Where `/proc/self/fd/N` points to.
    pub target: String,
}

impl Descriptor {
    /// `file`, `socket`, `pipe`, ...
    pub fn kind(&self) -> &str {
        match self.target.split_once(':') {
            _ if self.target.starts_with('/') => "file",
            Some((kind, _)) => kind,
            None => "unknown",
        }
    }
}

/// What the process holds.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Number and name of every thread.
    pub threads: BTreeMap<i32, String>,
    /// The open descriptors.
    pub descriptors: Vec<Descriptor>,
    /// The files that are mapped.
    pub mapped_files: BTreeSet<PathBuf>,
    /// The number of mappings of any kind.
    pub mappings: usize,
    /// The number of pthread keys that can still be created.
    pub free_pthread_keys: usize,
    /// The resident set in bytes.
    pub resident: u64,
    /// The bytes in use on the host's heap.
    pub heap: u64,
    /// The entries of the directories that are watched.
    pub directories: BTreeMap<PathBuf, BTreeSet<String>>,
}

/// By how much a process may have grown; what is counted one by one has no tolerance.
#[derive(Debug, Clone)]
pub struct Tolerance {
    /// Bytes on the host's heap. The caches of the allocator's threads stay below this.
    pub heap: u64,
    /// Bytes of the resident set.
    pub resident: u64,
    /// Mappings of any kind. Stacks of ended threads are kept by glibc for the next ones, so it cannot be 0 as such.
    pub mappings: usize,
    /// How long to wait for what is about to go.
    pub grace: Duration,
}

impl Tolerance {
    /// For a process under a sanitizer, whose own memory cannot be told from that of the process.
    pub fn sanitized() -> Tolerance {
        Tolerance { heap: u64::MAX, resident: u64::MAX, mappings: usize::MAX, grace: GRACE }
    }
}

impl Default for Tolerance {
    fn default() -> Tolerance {
        Tolerance { heap: 64 << 10, resident: 8 << 20, mappings: 64, grace: GRACE }
    }
}

/// One thing that a process holds more of than before.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leak {
    /// Threads that were not there before.
    Threads {
        /// How many more there are.
        count: usize,
        /// The names of those that are new.
        names: Vec<String>,
    },
    /// A descriptor that was not there before.
    Descriptor {
        /// `file`, `socket`, ...
        kind: String,
        /// What it is open on.
        target: String,
    },
    /// A file that was not mapped before.
    Mapping {
        /// The file.
        path: PathBuf,
    },
    /// More mappings than the tolerance allows.
    Mappings {
        /// How many more.
        count: usize,
    },
    /// Pthread keys that are no longer free.
    PthreadKeys {
        /// How many.
        count: usize,
    },
    /// The host's heap grew by more than the tolerance.
    HeapBytes {
        /// By how much.
        bytes: u64,
    },
    /// The resident set grew by more than the tolerance.
    ResidentBytes {
        /// By how much.
        bytes: u64,
    },
    /// An entry of a watched directory that was not there before.
    Entry {
        /// The directory and the name.
        path: PathBuf,
    },
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leak::Threads { count, names } => write!(f, "threads: {count} more ({})", names.join(", ")),
            Leak::Descriptor { kind, target } => write!(f, "descriptor: {kind} {target}"),
            Leak::Mapping { path } => write!(f, "mapped file: {}", path.display()),
            Leak::Mappings { count } => write!(f, "mappings: {count} more"),
            Leak::PthreadKeys { count } => write!(f, "pthread keys: {count} fewer free"),
            Leak::HeapBytes { bytes } => write!(f, "host heap: {} more", Rounded(*bytes)),
            Leak::ResidentBytes { bytes } => write!(f, "resident set: {} more", Rounded(*bytes)),
            Leak::Entry { path } => write!(f, "file left behind: {}", path.display()),
        }
    }
}

/// An amount in steps coarse enough to be the same in two runs.
struct Rounded(u64);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KIB: u64 = 1 << 10;
        const MIB: u64 = 1 << 20;
        // Three quarters of a MiB is closer to one than to none.
        if self.0 < 3 * MIB / 4 {
            write!(f, "about {} KiB", (self.0 / KIB).next_multiple_of(64))
        } else {
            write!(f, "about {} MiB", (self.0 + MIB / 2) / MIB)
        }
    }
}

impl Probe {
    /// Looks at this process.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn take() -> io::Result<Probe> {
        Probe::take_with(&[])
    }

    /// Looks at this process and at the entries of these directories.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn take_with(directories: &[&Path]) -> io::Result<Probe> {
        let directories = directories
            .iter()
            .map(|directory| Ok((directory.to_path_buf(), entries(directory)?)))
            .collect::<io::Result<_>>()?;
        // The memory numbers last: reading the others takes memory and gives it back.
        let threads = imp::threads()?;
        let descriptors = imp::descriptors()?;
        let (mapped_files, mappings) = imp::mappings()?;
        let free_pthread_keys = imp::free_pthread_keys();
        let (heap, resident) = imp::memory()?;
        Ok(Probe {
            threads,
            descriptors,
            mapped_files,
            mappings,
            free_pthread_keys,
            resident,
            heap,
            directories,
        })
    }

    /// What the process holds at its lowest after each of some rounds of the same work. How much of the allocators'
    /// caches is resident at one moment differs by some MiB; what has leaked is there at each.
    ///
    /// # Errors
    /// As the work, and when the system does not tell.
    pub fn lowest<E: From<io::Error>>(
        rounds: u64,
        mut work: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Probe, E> {
        work(0)?;
        let mut lowest = Probe::take()?;
        for round in 1..rounds {
            work(round)?;
            let probe = Probe::take()?;
            if probe.resident < lowest.resident {
                lowest = probe;
            }
        }
        Ok(lowest)
    }

    /// What `after` holds more than this.
    pub fn leaks_since(&self, after: &Probe, tolerance: &Tolerance) -> Vec<Leak> {
        let mut leaks = Vec::new();
        if after.threads.len() > self.threads.len() {
            let mut names: Vec<String> = after
                .threads
                .iter()
                .filter(|(id, _)| !self.threads.contains_key(id))
                .map(|(_, name)| name.clone())
                .collect();
            names.sort();
            leaks.push(Leak::Threads { count: after.threads.len() - self.threads.len(), names });
        }
        leaks.extend(self.descriptor_leaks(after));
        leaks.extend(
            after
                .mapped_files
                .difference(&self.mapped_files)
                .map(|path| Leak::Mapping { path: path.clone() }),
        );
        let mappings = after.mappings.saturating_sub(self.mappings);
        if mappings > tolerance.mappings {
            leaks.push(Leak::Mappings { count: mappings });
        }
        let keys = self.free_pthread_keys.saturating_sub(after.free_pthread_keys);
        if keys > 0 {
            leaks.push(Leak::PthreadKeys { count: keys });
        }
        let heap = after.heap.saturating_sub(self.heap);
        if heap > tolerance.heap {
            leaks.push(Leak::HeapBytes { bytes: heap });
        }
        let resident = after.resident.saturating_sub(self.resident);
        if resident > tolerance.resident {
            leaks.push(Leak::ResidentBytes { bytes: resident });
        }
        for (directory, names) in &after.directories {
            let before = self.directories.get(directory);
            let new = names.iter().filter(|name| !before.is_some_and(|before| before.contains(*name)));
            leaks.extend(new.map(|name| Leak::Entry { path: directory.join(name) }));
        }
        leaks
    }

    /// What this process holds more than before. Looks again until the tolerance's grace is over, since threads that
    /// have just been joined, and what goes with them, take a moment to vanish.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn leaks_now(&self, tolerance: &Tolerance) -> io::Result<Vec<Leak>> {
        let directories: Vec<&Path> = self.directories.keys().map(PathBuf::as_path).collect();
        let end = Instant::now() + tolerance.grace;
        loop {
            let leaks = self.leaks_since(&Probe::take_with(&directories)?, tolerance);
            if leaks.is_empty() || Instant::now() >= end {
                return Ok(leaks);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A descriptor that was closed and opened again on the same thing is no leak, whatever its number is.
    fn descriptor_leaks(&self, after: &Probe) -> Vec<Leak> {
        let mut before: BTreeMap<&str, usize> = BTreeMap::new();
        for descriptor in &self.descriptors {
            *before.entry(&descriptor.target).or_default() += 1;
        }
        let mut leaks = Vec::new();
        for descriptor in &after.descriptors {
            match before.get_mut(descriptor.target.as_str()) {
                Some(left) if *left > 0 => *left -= 1,
                _ => leaks.push(Leak::Descriptor {
                    kind: descriptor.kind().to_owned(),
                    target: descriptor.target.clone(),
                }),
            }
        }
        leaks
    }
}

/// Has the resident set and the mappings of this process show what is in use, and not what the system rounds it up to. To
/// be called before they are measured over many cycles of the same work.
pub fn settle_memory() {
    imp::settle_memory();
}

/// The names in a directory; a directory that is not there has none.
fn entries(directory: &Path) -> io::Result<BTreeSet<String>> {
    match std::fs::read_dir(directory) {
        Ok(entries) => {
            entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned())).collect()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Probe {
        Probe {
            threads: BTreeMap::from([(1, "main".to_owned())]),
            descriptors: vec![Descriptor { number: 0, target: "/dev/null".into() }],
            mapped_files: BTreeSet::new(),
            mappings: 10,
            free_pthread_keys: 1000,
            resident: 0,
            heap: 0,
            directories: BTreeMap::new(),
        }
    }

    #[test]
    fn amounts_within_the_tolerance_are_no_leaks() {
        let after = Probe { heap: 60 << 10, resident: 8 << 20, mappings: 70, ..empty() };
        assert_eq!(empty().leaks_since(&after, &Tolerance::default()), []);
    }

    #[test]
    fn a_reopened_descriptor_is_no_leak_and_a_second_one_is() {
        let null = |number| Descriptor { number, target: "/dev/null".into() };
        let reopened = Probe { descriptors: vec![null(7)], ..empty() };
        assert_eq!(empty().leaks_since(&reopened, &Tolerance::default()), []);
        let twice = Probe { descriptors: vec![null(0), null(1)], ..empty() };
        assert_eq!(
            empty().leaks_since(&twice, &Tolerance::default()),
            [Leak::Descriptor { kind: "file".into(), target: "/dev/null".into() }]
        );
    }

    #[test]
    fn every_kind_of_growth_is_named() {
        let after = Probe {
            threads: BTreeMap::from([(1, "main".to_owned()), (2, "worker".to_owned())]),
            descriptors: vec![
                Descriptor { number: 0, target: "/dev/null".into() },
                Descriptor { number: 1, target: "socket:[5]".into() },
            ],
            mapped_files: BTreeSet::from([PathBuf::from("/lib/x.so")]),
            mappings: 100,
            free_pthread_keys: 998,
            resident: 20 << 20,
            heap: 1 << 20,
            directories: BTreeMap::from([(PathBuf::from("/d"), BTreeSet::from(["f".to_owned()]))]),
        };
        let leaks: Vec<String> =
            empty().leaks_since(&after, &Tolerance::default()).iter().map(Leak::to_string).collect();
        assert_eq!(
            leaks,
            [
                "threads: 1 more (worker)",
                "descriptor: socket socket:[5]",
                "mapped file: /lib/x.so",
                "mappings: 90 more",
                "pthread keys: 2 fewer free",
                "host heap: about 1 MiB more",
                "resident set: about 20 MiB more",
                "file left behind: /d/f",
            ]
        );
    }

    #[test]
    fn amounts_are_rounded() {
        assert_eq!(Rounded(70 << 10).to_string(), "about 128 KiB");
        assert_eq!(Rounded((1 << 20) - 5000).to_string(), "about 1 MiB");
        assert_eq!(Rounded((5 << 20) + 5000).to_string(), "about 5 MiB");
    }
}
