//! Files that are no library, or one that is damaged or of another machine.

use std::collections::BTreeSet;
use std::io::{Seek, SeekFrom, Write};
use std::panic::AssertUnwindSafe;
use std::path::Path;

use fixture_interface::load::ModuleCounter;
use relib::LoadError;
use relib_harness::run::MUTATIONS_VARIABLE;
use relib_harness::{Failure, OrFail, Run};

use super::{FIXTURE, defaults, for_other_machine};
use crate::platform::{self, Apart, Seal, Unfinished, deciding_parts};
use crate::support::{load_error, observe_refusal, scratch_copy, warm_up};

pub(super) fn load_text(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    let path = run.scratch_dir().join("libtext.so");
    for (key, text) in [("text", "a text\n"), ("one byte", "\x7f"), ("a linker script", "INPUT(-lm)\n")] {
        std::fs::write(&path, text)?;
        observe_refusal::<ModuleCounter>(run, key, &path, &defaults())?;
    }
    Ok(())
}

pub(super) fn load_empty(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    let path = run.scratch_dir().join("libempty.so");
    std::fs::write(&path, "")?;
    observe_refusal::<ModuleCounter>(run, "error", path, &defaults())
}

pub(super) fn load_c_library(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    let path = run.scratch_dir().join("libc-library.so");
    std::fs::copy(platform::other_library()?, &path)?;
    observe_refusal::<ModuleCounter>(run, "error", &path, &defaults())?;
    observe_refusal::<()>(run, "without an interface", &path, &defaults())
}

pub(super) fn load_other_machine(run: &mut Run) -> Result<(), Failure> {
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    let path = scratch_copy(run, FIXTURE, "libarm.so", |bytes| for_other_machine(bytes))?;
    observe_refusal::<ModuleCounter>(run, "error", path, &defaults())
}

pub(super) fn load_truncated(run: &mut Run) -> Result<(), Failure> {
    const PAGE: usize = 4 << 10;
    const STEP: usize = 64 << 10;
    let mut apart = Apart::new(answer)?;
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    let path = scratch_copy(run, FIXTURE, "libtruncated.so", |_| ())?;
    let whole = std::fs::read(&path)?;
    let file = std::fs::File::options().write(true).open(&path)?;
    let both_ways = [COPIED, IN_PLACE];

    // From the end, so that each cut only takes something away.
    let cuts: BTreeSet<_> = (0..whole.len()).step_by(PAGE).chain([1, 63, 64, whole.len() - 1]).collect();
    for cut in cuts.into_iter().rev() {
        file.set_len(cut as u64)?;
        for mode in both_ways {
            let verdict = load_apart(&mut apart, &path, mode)?;
            let too_short_for_a_header = cut < 64 && verdict == Verdict::NoLibrary;
            run.check(
                verdict == Verdict::Truncated || too_short_for_a_header,
                format!("cut at {cut} of {} bytes: {verdict:?}", whole.len()),
            )?;
        }
    }
    // Windows does not load what is open for writing.
    drop(file);

    // A file whose end has not been written yet has its full length, and zeros there.
    let (mut refused, mut loaded) = (0, 0);
    let mut may_some_load = false;
    for start in (STEP..whole.len()).step_by(STEP).rev() {
        for Unfinished { kind, bytes, may_load } in platform::unfinished(&whole, start) {
            std::fs::write(&path, bytes)?;
            may_some_load |= may_load;
            for mode in both_ways {
                let verdict = load_apart(&mut apart, &path, mode)?;
                run.check(
                    verdict.is_refusal() || (may_load && verdict == Verdict::Loaded),
                    format!("{kind} from {start} of {} bytes: {verdict:?}", whole.len()),
                )?;
                *if verdict == Verdict::Loaded { &mut loaded } else { &mut refused } += 1;
            }
        }
    }
    eprintln!("files with a part missing: {refused} refused, {loaded} loaded");
    std::fs::write(&path, &whole)?;
    for mode in both_ways {
        run.check_eq("the whole file", load_apart(&mut apart, &path, mode)?, Verdict::Loaded)?;
    }
    run.observe("cut at each page", "refused");
    run.observe("zeros to the end", "refused");
    if may_some_load {
        run.observe(
            "zeros or nothing before the section headers",
            "refused, or loaded and called with right results",
        );
    }

    std::fs::write(&path, &whole[..PAGE])?;
    let error = load_error::<ModuleCounter>(&path, &defaults())?.to_string();
    // Where the missing part ends depends on the size of the fixture.
    let stable = error.rsplit_once(" at byte ").zip(error.split_once(": it is"));
    let ((before, _), (_, after)) = stable.or_fail("the error does not say what is missing")?;
    run.observe("after one page", format!("{before} at byte <number>: it is{after}"));
    Ok(())
}

/// SplitMix64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Some bytes with which something is wrong, for a place with these.
fn mutate(random: &mut Random, before: &[u8]) -> Vec<u8> {
    let mut bytes = before.to_vec();
    match random.below(4) {
        // One bit.
        0 => bytes[0] ^= 1 << random.below(8),
        // One byte.
        1 => bytes[0] = bytes[0].wrapping_add(1 + random.below(255) as u8),
        // A number: anything, or one of those that overflow.
        2 => bytes.iter_mut().for_each(|byte| *byte = random.next() as u8),
        _ => {
            let extreme = [0, 1, u64::MAX, i64::MAX as u64, 1 << 32, 0xfff][random.below(6)].to_le_bytes();
            let len = bytes.len();
            bytes.copy_from_slice(&extreme[..len]);
        }
    }
    bytes
}

/// What came of loading a file apart from this process.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Loaded,
    /// Refused as no library, or as nothing at all.
    NoLibrary,
    /// Refused because a part is missing.
    Truncated,
    /// Refused for another reason.
    Refused,
    /// Calls gave wrong results, or the unload failed.
    Wrong,
    Panicked,
    /// It did not return.
    Crashed(String),
}

impl Verdict {
    /// What [`load_apart`] can say by a number.
    const CODES: [Verdict; 6] = [
        Verdict::Loaded,
        Verdict::NoLibrary,
        Verdict::Truncated,
        Verdict::Refused,
        Verdict::Wrong,
        Verdict::Panicked,
    ];

    fn is_refusal(&self) -> bool {
        matches!(self, Verdict::NoLibrary | Verdict::Truncated | Verdict::Refused)
    }

    fn code(&self) -> u8 {
        Self::CODES.iter().position(|it| it == self).map_or(u8::MAX, |code| code as u8)
    }

    fn of(answer: Result<u8, String>) -> Verdict {
        match answer {
            Ok(code) => match Self::CODES.get(usize::from(code)) {
                Some(verdict) => verdict.clone(),
                None => Verdict::Crashed(format!("exit code {code}")),
            },
            Err(how) => Verdict::Crashed(how),
        }
    }
}

/// How [`load_apart`] asks for a file to be loaded: the mode, and the path behind it.
const COPIED: char = 'c';
const IN_PLACE: char = 'i';

/// Loads, calls and unloads a file that may be anything, where it does not matter if that goes wrong.
fn load_apart(apart: &mut Apart, path: &Path, mode: char) -> Result<Verdict, Failure> {
    Ok(Verdict::of(apart.ask(&format!("{mode}{}", path.display()))?))
}

/// The side of [`load_apart`] that loads.
fn answer(request: &str) -> u8 {
    let attempt = || {
        let path = Path::new(&request[1..]);
        let options = defaults().in_place(request.starts_with(IN_PLACE));
        // A directory for copies of its own, which this process may not live to remove, beside the file.
        let options = match path.parent() {
            Some(directory) => options.staging_directory(directory),
            None => options,
        };
        // SAFETY: not sound for a file that lies about itself, which is why this is apart.
        let module = match unsafe { options.load::<ModuleCounter>(path, ()) } {
            Ok(module) => module,
            Err(LoadError::Empty { .. } | LoadError::NotALibrary { .. }) => return Verdict::NoLibrary,
            Err(LoadError::Truncated { .. }) => return Verdict::Truncated,
            Err(_) => return Verdict::Refused,
        };
        let numbers = [module.exports().next(), module.exports().next()];
        let unloaded = module.unload().is_ok();
        if numbers == [Some(1), Some(2)] && unloaded { Verdict::Loaded } else { Verdict::Wrong }
    };
    std::panic::catch_unwind(AssertUnwindSafe(attempt)).unwrap_or(Verdict::Panicked).code()
}

/// How many mutations are tried at least.
const MUTATIONS: usize = 2000;

pub(super) fn load_mutated(run: &mut Run) -> Result<(), Failure> {
    const SEED: u64 = 20_261_122;
    let mut apart = Apart::new(answer)?;
    let count = match std::env::var(MUTATIONS_VARIABLE) {
        Ok(count) => count.parse()?,
        Err(_) => MUTATIONS,
    };
    run.check(count >= MUTATIONS, format!("{count} mutations are too few, and {MUTATIONS} the fewest"))?;
    warm_up::<ModuleCounter>(run, FIXTURE)?;
    let path = scratch_copy(run, FIXTURE, "libmutated.so", |_| ())?;
    let original = std::fs::read(&path)?;
    let parts = deciding_parts(&original)?;
    let seal = Seal::of(&original);
    let mut file = std::fs::File::options().write(true).open(&path)?;
    let mut random = Random(SEED);
    let (mut loaded, mut refused, mut faults) = (0, 0, Vec::new());
    for number in 0..count {
        let part = &parts[number % parts.len()];
        let start = part.start + random.below(part.len());
        let before = &original[start..part.end.min(start + 8)];
        let bytes = mutate(&mut random, before);
        overwrite(&mut file, start, &bytes)?;
        let sealed = seal.after(&original, start, &bytes);
        if let Some((place, number)) = &sealed {
            overwrite(&mut file, *place, number)?;
        }
        match load_apart(&mut apart, &path, COPIED)? {
            Verdict::Loaded => loaded += 1,
            verdict if verdict.is_refusal() => refused += 1,
            other => faults.push(format!("mutation {number}: {bytes:02x?} at {start:#x}: {other:?}")),
        }
        overwrite(&mut file, start, before)?;
        if let Some((place, number)) = sealed {
            overwrite(&mut file, place, &original[place..place + number.len()])?;
        }
    }
    eprintln!("{loaded} mutations loaded, {refused} refused");
    run.check(faults.is_empty(), faults.join("\n"))?;
    run.check(refused > count / 2, format!("only {refused} of {count} mutations were refused"))?;
    drop(file);
    let unchanged = load_apart(&mut apart, &path, COPIED)?;
    run.check_eq("the file without mutations", unchanged, Verdict::Loaded)?;
    run.observe(
        "refused, or loaded and called with right results",
        format!("at least {MUTATIONS} mutations"),
    );
    Ok(())
}

fn overwrite(file: &mut std::fs::File, start: usize, bytes: &[u8]) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(start as u64))?;
    file.write_all(bytes)
}
