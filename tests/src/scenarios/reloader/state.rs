//! State that outlives a reload: the host's, in a heap of its own, or handed over as bytes.

use std::fs;

use fixture_interface::reload::{
    ModuleStateful, ModuleTalker, ModuleWorlds, State as HostState, Store, World,
};
use relib::{HandOver, LoadOptions, ReloadError, ReloadEvent, Reloader, State};
use relib_harness::{Failure, OrFail, Run};

use super::{Builds, refused, reloaded, start, warm_up};
use crate::project::{Project, replace};
use crate::scenarios::reload::StoreImpl;
use crate::support::{load_file, reason};

/// State that the host owns, and state that modules give to the host before they are unloaded.
pub fn host_state(run: &mut Run) -> Result<(), Failure> {
    let mut builds = Builds::of(run, "reload-state")?;
    let cycle = |builds: &mut Builds| -> Result<(HostState, Vec<u32>), Failure> {
        // SAFETY: the fixtures are this repository's own code.
        let mut reloader = unsafe { Reloader::<ModuleStateful>::start(&builds.path, StoreImpl)? };
        let mut state = HostState::default();
        reloader.exports().work(&mut state, 1).or_fail("work panicked")?;
        for generation in 2..=3 {
            builds.put_next()?;
            reloaded(&mut reloader)?;
            reloader.exports().work(&mut state, generation).or_fail("work panicked")?;
        }
        let own = reloader.exports().own().or_fail("own panicked")?;
        reloader.unload()?;
        StoreImpl::restore();
        Ok((state, own))
    };
    cycle(&mut builds)?;
    run.baseline();
    let (state, own) = cycle(&mut builds)?;
    run.observe("the host's state", format!("{state:?}"));
    run.observe("the module's own state", format!("{own:?}"));
    Ok(())
}

/// State in a heap of its own.
pub fn heap_state(run: &mut Run) -> Result<(), Failure> {
    let mut builds = Builds::of(run, "reload-heap")?;
    heap_state_cycle(&mut builds, &mut |_, _| Ok(()))?;
    run.baseline();
    heap_state_cycle(&mut builds, &mut |key, value| {
        run.observe(key, value);
        Ok(())
    })
}

fn heap_state_cycle(
    builds: &mut Builds,
    observe: &mut dyn FnMut(&str, String) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let ensure = |holds: bool, message: &str| if holds { Ok(()) } else { Err(Failure::new(message)) };
    let mut reloader = start::<ModuleWorlds>(&builds.path)?;
    let mut world: State<World> = State::new();
    ensure(world.get().is_none() && world.memory().blocks == 0, "a new state should be empty")?;
    for name in ["a", "b"] {
        reloader.exports().tick(world.lend(), name).or_fail("tick panicked")?;
    }
    observe("made by the first build", format!("{:?}", world.get()))?;
    let address = |world: &State<World>| world.get().map(|world| world.names.as_ptr());
    let before = address(&world);
    builds.put_next()?;
    reloaded(&mut reloader)?;
    ensure(address(&world) == before, "the state has moved")?;
    observe("after the reload, where it was", format!("{:?}", world.get()))?;
    for name in ["a", "c", "d", "e"] {
        reloader.exports().tick(world.lend(), name).or_fail("tick panicked")?;
    }
    let seen = world.get().or_fail("the state is empty")?;
    observe("as the second build sees it", reloader.exports().describe(seen).or_fail("describe panicked")?)?;

    ensure(reloader.exports().panic_midway(world.lend()).is_none(), "panic_midway should panic")?;
    let panic = reloader.module().last_panic().or_fail("the panic left no report")?;
    let names = world.get().map(|world| world.names.clone()).unwrap_or_default();
    observe("after a panic", format!("{} (names: {})", panic.message, names.join(", ")))?;
    reloader.exports().tick(world.lend(), "after the panic").or_fail("tick panicked")?;
    let refusal =
        reloader.exports().start_thread_inside(world.lend()).or_fail("start_thread_inside panicked")?;
    observe("a thread started while it is changed", refusal.or_fail("the thread was started")?)?;

    // Lines in the state's heap that a static holds: good for as long as the module is there, even without the state.
    let blocks = world.memory().blocks;
    reloader.exports().keep(world.lend()).or_fail("keep panicked")?;
    ensure(world.memory().blocks > blocks + 50, "the lines should be in the state's heap")?;
    drop(world);
    let kept = reloader.exports().kept().or_fail("kept panicked")?;
    observe("lines that a static keeps when the state is dropped", kept.to_string())?;
    reloader.unload()?;
    Ok(())
}

/// A module that moves memory of its own into a state that outlives it.
pub fn heap_state_moved(run: &mut Run) -> Result<(), Failure> {
    let mut builds = Builds::of(run, "reload-heap")?;
    warm_up::<ModuleWorlds>(run, &builds.path)?;
    let mut reloader = start::<ModuleWorlds>(&builds.path)?;
    let mut world: State<World> = State::new();
    reloader.exports().tick(world.lend(), "a").or_fail("tick panicked")?;
    reloader.exports().give_own(world.lend(), "b").or_fail("give_own panicked")?;
    builds.put_next()?;
    run.observe("a name of the module's own", refused(&mut reloader)?);
    run.observe("meanwhile", reloader.exports().tick(world.lend(), "c").or_fail("tick panicked")?.join(", "));
    reloader.exports().renew(world.lend()).or_fail("renew panicked")?;
    run.check(matches!(reloader.reload(), ReloadEvent::Reloaded(_)), "a copy is not the module's own")?;
    run.observe("after a copy", format!("{:?}", world.get()));

    reloader.exports().give_own(world.lend(), "d").or_fail("give_own panicked")?;
    let Err(failed) = reloader.unload() else {
        return Err(Failure::new("the state holds memory of the module"));
    };
    run.observe("once more", failed.error());
    drop(world);
    failed.into_module().unload()?;
    run.observe("without the state", "unloaded");
    Ok(())
}

/// A module that moves memory of one state into another, or a tree of its own that keeps memory without entries.
pub fn heap_state_between(run: &mut Run) -> Result<(), Failure> {
    let builds = Builds::of(run, "reload-heap")?;
    warm_up::<ModuleWorlds>(run, &builds.path)?;
    let load = || load_file::<ModuleWorlds>(&builds.path, &LoadOptions::new(), ());
    let module = load()?;
    let [mut one, mut other]: [State<World>; 2] = [State::new(), State::new()];
    for world in [&mut one, &mut other] {
        module.exports().tick(world.lend(), "a name").or_fail("tick panicked")?;
    }
    module.exports().take_names(one.lend()).or_fail("take_names panicked")?;
    module.exports().put_names(other.lend()).or_fail("put_names panicked")?;
    let Err(failed) = module.unload() else {
        return Err(Failure::new("a state holds memory of another one"));
    };
    run.observe("names of another state", failed.error());
    let module = failed.into_module();
    // While the module is there, the names are.
    drop(one);
    run.observe("without the other state", format!("{:?}", other.get().map(|world| &world.names)));
    module.exports().renew(other.lend()).or_fail("renew panicked")?;
    module.unload()?;
    run.observe("after a copy", format!("{:?}", other.get().map(|world| &world.names)));

    let module = load()?;
    module.exports().give_emptied(other.lend()).or_fail("give_emptied panicked")?;
    let Err(failed) = module.unload() else {
        return Err(Failure::new("a state holds memory of the module"));
    };
    run.observe("an emptied tree", failed.error());
    let module = failed.into_module();
    module.exports().renew(other.lend()).or_fail("renew panicked")?;
    module.unload()?;
    let module = load()?;
    module.exports().tick(other.lend(), "another").or_fail("tick panicked")?;
    module.unload()?;
    run.observe("in the end", format!("{:?}", other.get()));
    Ok(())
}

/// A new build that knows the state by another type.
pub fn heap_state_changed(run: &mut Run) -> Result<(), Failure> {
    let project = Project::copy(run, "reload-heap", "reloader-heap-state")?;
    let path = project.build()?;
    warm_up::<ModuleWorlds>(run, &path)?;
    let mut reloader = start::<ModuleWorlds>(&path)?;
    let mut world: State<World> = State::new();
    reloader.exports().tick(world.lend(), "a").or_fail("tick panicked")?;
    project.edit("interface/src/reload.rs", "    pub ticks: u64,", "    pub ticks: u32,")?;
    project.edit("interface/src/reload.rs", "Vec<u64>>", "Vec<u32>>")?;
    project.build()?;
    let ReloadError::Load(error) = refused(&mut reloader)? else {
        return Err(Failure::new("the build should not load"));
    };
    run.observe("another type", reason(&error, &path.canonicalize()?)?);
    let names = reloader.exports().tick(world.lend(), "b").or_fail("tick panicked")?;
    run.observe("names in the meantime", names.join(", "));
    reloader.unload()?;
    run.observe("the state without a module", format!("{:?}", world.get()));
    Ok(())
}

/// State that one build hands over to the next as bytes.
pub fn saved_state(run: &mut Run) -> Result<(), Failure> {
    const SOURCE: &str = "module/src/lib.rs";
    let project = Project::copy(run, "reload-saved", "reloader-saved-state")?;
    let path = project.build()?;
    let first = fs::read(&path)?;
    warm_up::<ModuleTalker>(run, &path)?;
    let say =
        |reloader: &Reloader<ModuleTalker>, word: &str| reloader.exports().say(word).or_fail("say panicked");

    let mut reloader = start::<ModuleTalker>(&path)?;
    run.observe("first build", say(&reloader, "one")?);
    project.edit(SOURCE, "memory.calls += 1", "memory.calls += 10")?;
    project.build()?;
    run.check(
        matches!(reloaded(&mut reloader)?.state, HandOver::Restored { .. }),
        "the state should be restored",
    )?;
    run.observe("the same shape", say(&reloader, "two")?);

    project.edit(SOURCE, "    calls: u32,", "    calls: u64,\n    loud: bool,")?;
    project.build()?;
    run.observe("another shape", refused(&mut reloader)?);
    run.observe("meanwhile", say(&reloader, "three")?);

    let migrate = |reader: &str| {
        format!(
            "#[derive(Transfer, Serialize, Deserialize)]\nstruct OldMemory {{ words: Vec<String>, calls: u32 }}\n\n\
             #[relib_module::migrate_state]\nfn migrate(old: relib_module::OldState<'_>) -> Result<Memory, String> {{\n    \
             {reader}\n    Ok(Memory {{ words: old.words, calls: old.calls.into(), loud: true }})\n}}\n\n\
             #[relib_module::export]\nimpl"
        )
    };
    let refusing =
        migrate("let old: OldMemory = old.read()?; if old.calls > 0 { return Err(\"too late\".into()) }");
    project.edit(SOURCE, "#[relib_module::export]\nimpl", &refusing)?;
    project.build()?;
    run.observe("a migration that refuses", refused(&mut reloader)?);

    project.edit(SOURCE, "old.calls > 0", "old.calls > 1000")?;
    project.edit(SOURCE, "calls: u32 }", "calls: i32 }")?;
    project.edit(SOURCE, "old.calls.into()", "old.calls as u64")?;
    project.build()?;
    run.observe("a migration of something else", refused(&mut reloader)?);

    project.edit(SOURCE, "calls: i32 }", "calls: u32 }")?;
    project.build()?;
    run.check(
        matches!(reloaded(&mut reloader)?.state, HandOver::Migrated { .. }),
        "the state should be migrated",
    )?;
    run.observe("a migration", say(&reloader, "four")?);

    project.edit(
        SOURCE,
        "memory(|memory| *memory = saved)",
        "assert!(saved.loud && saved.calls == 0, \"not mine\")",
    )?;
    project.build()?;
    let ReloadError::State(error) = refused(&mut reloader)? else {
        return Err(Failure::new("the state should be refused"));
    };
    let error = error.to_string();
    run.observe("a panic in the new build", error.rsplit(": ").next().unwrap_or_default());
    run.observe("meanwhile", say(&reloader, "five")?);

    // A module can be asked without a reloader, too.
    let saved = reloader.module().save_state()?.or_fail("the module has state")?;
    run.observe("saved", saved.description());
    reloader.unload()?;
    replace(&path, &first)?;
    let reloader = start::<ModuleTalker>(&path)?;
    match reloader.module().restore_state(&saved) {
        Err(error) => run.observe("to the first build", error),
        Ok(_) => return Err(Failure::new("the shapes differ")),
    }
    reloader.unload()?;
    Ok(())
}
