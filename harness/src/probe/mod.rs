//! What a process holds at a moment, and what it holds more of later.
//!
//! It must not know who took the things: it sees the process from outside, through what the system says about it, so
//! that it can contradict the bookkeeping of the code under test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

mod descriptor;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod imp;
#[cfg(windows)]
#[path = "windows.rs"]
mod imp;

pub use descriptor::Descriptor;

/// Environment variables that a process has to be started with for its heap and its resident set to show what is in use,
/// and not what its allocator keeps for later.
pub const ENVIRONMENT: &[(&str, &str)] = imp::ENVIRONMENT;

/// How long a thing that is about to go may take: a thread that was joined still shows in `/proc/self/task` for a
/// moment.
const GRACE: Duration = Duration::from_secs(2);

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
}

/// By how much a process may have grown; what is counted one by one has no tolerance.
#[derive(Debug, Clone)]
pub struct Tolerance {
    /// Bytes on the host's heap, which std and the C library take some of for good when a thing is done for the first time.
    pub heap: u64,
    /// Bytes of the resident set.
    pub resident: u64,
    /// Keys of the platform's threads.
    pub keys: usize,
    /// Mappings of any kind. The default is what one more thread at a time than before leaves in glibc, which keeps its
    /// stack and its arena for the next one, two mappings each; without threads there were none more in any scenario.
    pub mappings: usize,
    /// How long to wait for what is about to go.
    pub grace: Duration,
}

impl Tolerance {
    /// For a process under a sanitizer, whose own memory cannot be told from that of the process.
    pub fn sanitized() -> Tolerance {
        Tolerance {
            heap: u64::MAX,
            resident: u64::MAX,
            keys: imp::KEY_TOLERANCE,
            mappings: usize::MAX,
            grace: GRACE,
        }
    }
}

impl Default for Tolerance {
    fn default() -> Tolerance {
        Tolerance { heap: 16 << 10, resident: 8 << 20, keys: imp::KEY_TOLERANCE, mappings: 4, grace: GRACE }
    }
}

/// One thing that a process holds more of than before.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leak {
    /// Threads that were not there before.
    Threads {
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
    /// A descriptor that was there before, and that somebody else has closed.
    DescriptorLost {
        /// `file`, `socket`, ...
        kind: String,
        /// What it was open on.
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
    /// Pthread keys that were in use before, and that somebody else has deleted.
    PthreadKeysLost {
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
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leak::Threads { names } => write!(f, "threads: {} more ({})", names.len(), names.join(", ")),
            Leak::Descriptor { kind, target } => write!(f, "descriptor: {kind} {target}"),
            Leak::DescriptorLost { kind, target } => write!(f, "descriptor lost: {kind} {target}"),
            Leak::Mapping { path } => write!(f, "mapped file: {}", path.display()),
            Leak::Mappings { count } => write!(f, "mappings: {count} more"),
            Leak::PthreadKeys { count } => write!(f, "pthread keys: {count} fewer free"),
            Leak::PthreadKeysLost { count } => write!(f, "pthread keys: {count} more free"),
            Leak::HeapBytes { bytes } => write!(f, "host heap: {} more", Rounded(*bytes)),
            Leak::ResidentBytes { bytes } => write!(f, "resident set: {} more", Rounded(*bytes)),
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
        // The memory numbers last: reading the others takes memory and gives it back.
        let threads = imp::threads()?;
        let descriptors = imp::descriptors()?;
        let (mapped_files, mappings) = imp::mappings()?;
        let free_pthread_keys = imp::free_pthread_keys();
        let (heap, resident) = imp::memory()?;
        Ok(Probe { threads, descriptors, mapped_files, mappings, free_pthread_keys, resident, heap })
    }

    /// The least of everything that the process holds after each of some rounds of the same work. How much of the
    /// allocators' caches is resident at one moment differs by some MiB, and a thread that has just ended may still be
    /// listed; what has leaked is there at each.
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
            lowest = lowest.least(Probe::take()?);
        }
        Ok(lowest)
    }

    /// The lesser of everything that two probes have found. A key in use is one that is not free.
    fn least(self, other: Probe) -> Probe {
        fn shorter<T: IntoIterator>(a: T, b: T, len: impl Fn(&T) -> usize) -> T {
            if len(&b) < len(&a) { b } else { a }
        }
        Probe {
            threads: shorter(self.threads, other.threads, BTreeMap::len),
            descriptors: shorter(self.descriptors, other.descriptors, Vec::len),
            mapped_files: shorter(self.mapped_files, other.mapped_files, BTreeSet::len),
            mappings: self.mappings.min(other.mappings),
            free_pthread_keys: self.free_pthread_keys.max(other.free_pthread_keys),
            resident: self.resident.min(other.resident),
            heap: self.heap.min(other.heap),
        }
    }

    /// What `after` holds more than this.
    pub fn leaks_since(&self, after: &Probe, tolerance: &Tolerance) -> Vec<Leak> {
        let mut leaks = Vec::new();
        // By their numbers and not by the count: one that has ended since would hide one that is new.
        let new = after.threads.iter().filter(|(id, _)| !self.threads.contains_key(id));
        let mut names: Vec<String> = new.map(|(_, name)| name.clone()).collect();
        names.sort();
        if !names.is_empty() {
            leaks.push(Leak::Threads { names });
        }
        leaks.extend(
            surplus(&after.descriptors, &self.descriptors)
                .map(|(kind, target)| Leak::Descriptor { kind, target }),
        );
        leaks.extend(
            surplus(&self.descriptors, &after.descriptors)
                .map(|(kind, target)| Leak::DescriptorLost { kind, target }),
        );
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
        if keys > tolerance.keys {
            leaks.push(Leak::PthreadKeys { count: keys });
        }
        let keys = after.free_pthread_keys.saturating_sub(self.free_pthread_keys);
        if keys > 0 {
            leaks.push(Leak::PthreadKeysLost { count: keys });
        }
        let heap = after.heap.saturating_sub(self.heap);
        if heap > tolerance.heap {
            leaks.push(Leak::HeapBytes { bytes: heap });
        }
        let resident = after.resident.saturating_sub(self.resident);
        if resident > tolerance.resident {
            leaks.push(Leak::ResidentBytes { bytes: resident });
        }
        leaks
    }

    /// What this process holds more than before. Looks again until the tolerance's grace is over, since threads that
    /// have just been joined, and what goes with them, take a moment to vanish.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn leaks_now(&self, tolerance: &Tolerance) -> io::Result<Vec<Leak>> {
        let end = Instant::now() + tolerance.grace;
        loop {
            let leaks = self.leaks_since(&Probe::take()?, tolerance);
            if leaks.is_empty() || Instant::now() >= end {
                return Ok(leaks);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Has the resident set of this process show what is in use, and not what the system rounds it up to. To be called before
/// it is measured over many cycles of the same work.
///
/// # Errors
/// When the system does not allow it.
pub fn settle_memory() -> io::Result<()> {
    imp::settle_memory()
}

/// Starts a thread and waits until nothing of it is left: one that was joined is listed for a moment more.
///
/// # Errors
/// When no thread can be started, and when the system does not tell.
pub fn run_a_thread() -> io::Result<()> {
    let thread = std::thread::Builder::new().spawn(imp::current_thread)?;
    let id = thread.join().expect("a thread that asks for its number should not panic");
    while imp::threads()?.contains_key(&id) {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Kind and target of the descriptors in `some` that `others` lack. One that was closed and opened again on the same
/// thing is the same, whatever its number is.
fn surplus<'a>(
    some: &'a [Descriptor],
    others: &'a [Descriptor],
) -> impl Iterator<Item = (String, String)> + 'a {
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for descriptor in others {
        *left.entry(&descriptor.target).or_default() += 1;
    }
    let lacking = move |descriptor: &&Descriptor| match left.get_mut(descriptor.target.as_str()) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    some.iter().filter(lacking).map(|descriptor| (descriptor.kind().to_owned(), descriptor.target.clone()))
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
        }
    }

    #[test]
    fn amounts_within_the_tolerance_are_no_leaks() {
        let after = Probe { heap: 16 << 10, resident: 8 << 20, mappings: 14, ..empty() };
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
            ]
        );
    }

    #[test]
    fn a_new_thread_is_not_hidden_by_one_that_has_ended() {
        let after = Probe { threads: BTreeMap::from([(2, "worker".to_owned())]), ..empty() };
        assert_eq!(
            empty().leaks_since(&after, &Tolerance::default()),
            [Leak::Threads { names: vec!["worker".into()] }]
        );
    }

    #[test]
    fn what_was_taken_from_the_host_is_named() {
        let after = Probe { descriptors: Vec::new(), free_pthread_keys: 1001, ..empty() };
        let lost = Leak::DescriptorLost { kind: "file".into(), target: "/dev/null".into() };
        assert_eq!(
            empty().leaks_since(&after, &Tolerance::default()),
            [lost, Leak::PthreadKeysLost { count: 1 }]
        );
    }

    #[test]
    fn amounts_are_rounded() {
        assert_eq!(Rounded(70 << 10).to_string(), "about 128 KiB");
        assert_eq!(Rounded((1 << 20) - 5000).to_string(), "about 1 MiB");
        assert_eq!(Rounded((5 << 20) + 5000).to_string(), "about 5 MiB");
    }
}
