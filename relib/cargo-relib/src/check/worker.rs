//! What happens in a contained process: cycles of load, `main` and unload, each step recorded before it is done.
//!
//! It must not judge: it says what happened and what the process holds more of.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use clap::ValueEnum;
use relib::{CallMainError, LoadOptions, Module, UnloadError, Unloaded};
use relib_harness::probe::{self, Leak, Probe, Tolerance};

use super::record::{Growth, GrowthKind, Reclaimed, Record, Refusal, Step, Writer};

/// What is done with the module in one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Story {
    /// Everything on one thread.
    OneThread,
    /// `main` runs on a thread of its own, which ends before the module is unloaded.
    OtherThread,
    /// `main` runs on a thread of its own, which lives on while the module is unloaded.
    LivingThread,
    /// The next instance is loaded before the last is unloaded, as a reload does it.
    Overlapping,
    /// As the first, with what C code linked into the module allocates sent to the module's heap.
    CAllocations,
}

impl Story {
    /// Those that each check consists of.
    pub const ALL: [Story; 4] =
        [Story::OneThread, Story::OtherThread, Story::LivingThread, Story::Overlapping];

    pub fn id(self) -> &'static str {
        match self {
            Story::OneThread => "one-thread",
            Story::OtherThread => "other-thread",
            Story::LivingThread => "living-thread",
            Story::Overlapping => "overlapping",
            Story::CAllocations => "c-allocations",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Story::OneThread => "load, main, unload on one thread",
            Story::OtherThread => "main on a thread of its own that ends before the unload",
            Story::LivingThread => "main on a thread of its own that lives on",
            Story::Overlapping => "the next instance loaded before the last is unloaded",
            Story::CAllocations => "the same with LoadOptions::reclaim_c_allocations",
        }
    }

    /// How many cycles it takes if the check has `cycles`: what leaks is measured in the first, and the others are about
    /// crashes and refusals, which come soon.
    pub fn cycles(self, cycles: u64) -> u64 {
        match self {
            Story::OneThread | Story::CAllocations => cycles,
            Story::OtherThread | Story::LivingThread | Story::Overlapping => cycles.div_ceil(4),
        }
    }
}

#[derive(clap::Parser)]
pub struct Arguments {
    file: PathBuf,
    #[arg(long, value_enum)]
    story: Story,
    #[arg(long)]
    cycles: u64,
    #[arg(long)]
    records: PathBuf,
    #[arg(long)]
    no_main: bool,
}

/// How long threads of the module may take to end once it is to be unloaded.
const UNLOAD_LIMIT: Duration = Duration::from_secs(1);

/// By how much the process may grow in all cycles that are measured.
fn tolerance() -> Tolerance {
    Tolerance { resident: 1 << 20, mappings: 16, ..Tolerance::default() }
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut worker = Worker {
        arguments,
        writer: Writer::create(&arguments.records).context("cannot write the records")?,
        cycle: 0,
        previous: None,
        has_panicked: false,
    };
    let finished = worker.all_cycles();
    let last = match finished {
        Ok(()) => Record::Finished,
        // Has been recorded.
        Err(Stop::Recorded) => return Ok(ExitCode::SUCCESS),
        Err(Stop::Failed(error)) => Record::Failed { error: format!("{error:#}") },
    };
    worker.writer.write(&last)?;
    // The end of the process is part of the check: what the module has left for it runs now.
    Ok(ExitCode::SUCCESS)
}

/// Why the cycles do not go on.
enum Stop {
    /// For a reason that stands in the records.
    Recorded,
    /// The worker itself failed.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Failed(error.into())
    }
}

struct Worker<'a> {
    arguments: &'a Arguments,
    writer: Writer,
    cycle: u64,
    /// The instance that is unloaded after the next is loaded.
    previous: Option<Module<()>>,
    has_panicked: bool,
}

impl Worker<'_> {
    fn all_cycles(&mut self) -> Result<(), Stop> {
        probe::settle_memory()?;
        let cycles = self.arguments.cycles;
        // A fifth to set up what a process sets up once; the last few of it, and the last few of the rest, find the level.
        let warm_up = cycles / 5;
        let samples = (cycles / 25).max(1);
        if warm_up < samples {
            return self.cycles(cycles);
        }
        self.cycles(warm_up - samples)?;
        let before = self.probe(samples)?;
        let measured = cycles - warm_up;
        self.cycles(measured - samples)?;
        let after = self.probe(samples)?;
        let mut leaks = before.leaks_since(&after, &tolerance());
        if !leaks.is_empty() {
            // What is about to go may take a moment. The probe itself lives on the heap that is measured.
            drop(after);
            leaks = before.leaks_now(&tolerance())?;
        }
        if !leaks.is_empty() {
            self.writer.write(&Record::Grown { cycles: measured, leaks: growth(&leaks) })?;
        }
        Ok(())
    }

    /// What the process holds after some cycles, at its lowest.
    fn probe(&mut self, samples: u64) -> Result<Probe, Stop> {
        Probe::lowest(samples, |_| self.cycles(1))
    }

    fn cycles(&mut self, count: u64) -> Result<(), Stop> {
        for _ in 0..count {
            self.cycle += 1;
            self.step(Step::Load)?;
            let module = self.load()?;
            match self.arguments.story {
                Story::LivingThread => self.cycle_with_living_thread(module)?,
                Story::Overlapping => {
                    self.run_main(&module)?;
                    if let Some(previous) = self.previous.replace(module) {
                        self.unload(previous)?;
                    }
                }
                Story::OneThread | Story::OtherThread | Story::CAllocations => {
                    self.run_main(&module)?;
                    self.unload(module)?;
                }
            }
        }
        self.previous.take().map_or(Ok(()), |module| self.unload(module))
    }

    /// Calls `main` on a thread that is there until the module is gone. If it holds thread-local objects of the module, it
    /// is released, as a host would have to.
    fn cycle_with_living_thread(&mut self, module: Module<()>) -> Result<(), Stop> {
        let (to_thread, calls) = mpsc::channel::<(Module<()>, fn(&Module<()>) -> CallMainResult)>();
        let (to_us, results) = mpsc::channel();
        let thread = thread::spawn(move || {
            for (module, call) in calls {
                let result = call(&module);
                // Whoever called waits for it, or has given up.
                let _ = to_us.send((module, result));
            }
        });
        let on_thread = |module, call| -> Result<(Module<()>, CallMainResult), Stop> {
            to_thread.send((module, call)).map_err(|_| anyhow!("the thread has ended"))?;
            Ok(results.recv().context("the thread has ended")?)
        };
        let mut module = module;
        if !self.arguments.no_main {
            self.step(Step::Main)?;
            let (back, result) = on_thread(module, Module::run_main)?;
            module = back;
            self.note_panic(&module, result)?;
        }
        self.step(Step::Unload)?;
        let released = match module.unload() {
            Ok(report) => self.writer.write(&unloaded(&report)).map_err(Stop::from),
            Err(failed) if matches!(failed.error(), UnloadError::ThreadLocalsAlive { .. }) => {
                let (error, module) = failed.into_parts();
                self.writer.write(&Record::NeedsRelease { error: error.to_string() })?;
                let (module, _) = on_thread(module, |module| {
                    // If it fails, the unload does, which says why.
                    let _ = module.release_thread();
                    Ok(())
                })?;
                self.unload(module)
            }
            Err(failed) => self.unload(failed.into_module()),
        };
        drop(to_thread);
        let _ = thread.join();
        released
    }

    fn step(&mut self, step: Step) -> Result<(), Stop> {
        Ok(self.writer.write(&Record::Step { cycle: self.cycle, step })?)
    }

    fn load(&mut self) -> Result<Module<()>, Stop> {
        let options = LoadOptions::new()
            .separate_instance(self.arguments.story == Story::Overlapping)
            .reclaim_c_allocations(self.arguments.story == Story::CAllocations);
        // SAFETY: whoever asks for the check wants the module's code to run; what it does to this process stays in it.
        match unsafe { options.load_unconnected(&self.arguments.file) } {
            Ok(module) => Ok(module),
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::new(error));
                self.writer.write(&Record::LoadFailed { error })?;
                Err(Stop::Recorded)
            }
        }
    }

    fn run_main(&mut self, module: &Module<()>) -> Result<(), Stop> {
        if self.arguments.no_main {
            return Ok(());
        }
        self.step(Step::Main)?;
        let result = match self.arguments.story {
            Story::OtherThread => thread::scope(|scope| scope.spawn(|| module.run_main()).join())
                .map_err(|_| anyhow!("the thread that called main panicked"))?,
            _ => module.run_main(),
        };
        self.note_panic(module, result)
    }

    fn note_panic(&mut self, module: &Module<()>, result: CallMainResult) -> Result<(), Stop> {
        // Looking up the symbols of the backtrace takes the module long, and one panic is enough to know.
        if result == Err(CallMainError::Panicked) && !self.has_panicked {
            self.has_panicked = true;
            let panic = module.last_panic().map_or_else(|| "panicked".to_owned(), |panic| panic.to_string());
            self.writer.write(&Record::MainPanicked { text: panic })?;
        }
        Ok(())
    }

    fn unload(&mut self, module: Module<()>) -> Result<(), Stop> {
        self.step(Step::Unload)?;
        match module.unload_within(UNLOAD_LIMIT) {
            Ok(report) => Ok(self.writer.write(&unloaded(&report))?),
            Err(failed) => {
                let kind = match failed.error() {
                    UnloadError::ThreadsStillRunning { .. } => Refusal::Threads,
                    UnloadError::ThreadLocalsAlive { .. } => Refusal::ThreadLocals,
                    UnloadError::SignalHandlers { .. } => Refusal::SignalHandlers,
                    UnloadError::BeforeUnloadPanicked(_) => Refusal::BeforeUnload,
                    UnloadError::ImageStayed { .. } => Refusal::ImageStayed,
                    _ => Refusal::Other,
                };
                self.writer.write(&Record::UnloadFailed { kind, error: failed.error().to_string() })?;
                Err(Stop::Recorded)
            }
        }
    }
}

/// What [`Module::run_main`] returns.
type CallMainResult = Result<(), CallMainError>;

fn unloaded(report: &Unloaded) -> Record {
    Record::Unloaded(Reclaimed {
        memory_bytes: report.memory.bytes,
        memory_blocks: report.memory.blocks,
        mappings: report.mappings.len(),
        keys: report.keys,
        descriptors: report.descriptors.iter().map(ToString::to_string).collect(),
    })
}

/// The leaks of one process, those of a kind together.
fn growth(leaks: &[Leak]) -> Vec<Growth> {
    let mut growth: Vec<Growth> = Vec::new();
    for leak in leaks {
        let text = leak.to_string();
        if let Some(same) = growth.iter_mut().find(|other| other.text == text) {
            same.count += 1;
            continue;
        }
        let kind = match leak {
            Leak::Threads { .. } => GrowthKind::Threads,
            Leak::Descriptor { .. } => GrowthKind::Descriptors,
            Leak::HeapBytes { .. } | Leak::ResidentBytes { .. } => GrowthKind::Memory,
            _ => GrowthKind::Other,
        };
        growth.push(Growth { kind, text, count: 1 });
    }
    growth
}
