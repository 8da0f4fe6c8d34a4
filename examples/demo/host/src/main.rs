//! Loads, calls, breaks, unloads and reloads the demo's module, step by step.
//!
//! `cargo xtask demo` runs it: `demo-host <module file> <module source> <command that builds the module...>`.

use std::error::Error;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use demo_shared::{GuestBook, Imports, ModuleExports};
use relib::Module;

#[relib::implement]
impl Imports for ModuleImportsImpl {
    fn say(line: &str) {
        println!("   module: {line}");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(file), Some(source), Some(cargo)) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err(
            "usage: demo-host MODULE_FILE MODULE_SOURCE BUILD_COMMAND...; `cargo xtask demo` fills these in"
                .into(),
        );
    };
    let (file, source) = (PathBuf::from(file), PathBuf::from(source));
    let mut book = GuestBook::default();

    step("Load a module");
    let module = load(&file)?;

    step("Call it with strings, and let it change a struct of the host");
    call(&module, &mut book, "Ada");

    step("Let it leak 100 MiB");
    module.exports().leak(100).ok_or("leak panicked")?;
    println!("   the module holds {} MiB in {} blocks", module.memory().bytes >> 20, module.memory().blocks);
    show_memory();

    step("Let it panic");
    let letter = module.exports().letter("relib", 7);
    println!("   the call returned {letter:?}, and the host goes on");
    let panic = module.last_panic().ok_or("the panic was not recorded")?;
    println!("   {panic}");
    if let Some(frame) = panic.backtrace.lines().find(|line| line.contains("demo_module::")) {
        println!("   the first of its frames in the backtrace: {}", frame.trim());
    }
    show_memory();

    step("Try to unload it while a thread of it runs");
    module.exports().start_worker().ok_or("start_worker panicked")?;
    let failed = module.unload().err().ok_or("the unload should have been refused")?;
    println!("   refused: {}", failed.error());
    let module = failed.into_module();
    println!("   it was handed back and still works:");
    call(&module, &mut book, "Grace");

    step("Stop the thread and unload");
    module.exports().stop_worker().ok_or("stop_worker panicked")?;
    unload(module)?;

    step("Change its source, build it and load it again, in the same process");
    let text = std::fs::read_to_string(&source)?;
    std::fs::write(&source, text.replace("= \"hello\"", "= \"welcome back\""))?;
    println!("   {}: GREETING is now \"welcome back\"", source.display());
    build(Command::new(cargo).args(arguments))?;
    let module = load(&file)?;

    step("The new code runs, and the host has kept its state");
    call(&module, &mut book, "Barbara");
    println!("   the book: {}", book.guests.join(", "));
    unload(module)
}

fn step(title: &str) {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    if std::io::stdout().is_terminal() {
        println!("\n\x1b[1m{number}. {title}\x1b[0m");
    } else {
        println!("\n{number}. {title}");
    }
}

fn load(file: &Path) -> Result<Module<ModuleExports>, Box<dyn Error>> {
    let start = Instant::now();
    // SAFETY: the module is this demo's own code.
    let module = unsafe { relib::load_module::<ModuleExports>(file, ModuleImportsImpl)? };
    println!("   {} verified, copied and loaded in {:.1?}", file.display(), start.elapsed());
    show_memory();
    Ok(module)
}

fn call(module: &Module<ModuleExports>, book: &mut GuestBook, name: &str) {
    match module.exports().greet(book, name) {
        Some(greeting) => println!("   greet(&mut book, {name:?}) returned {greeting:?}"),
        None => println!("   greet panicked"),
    }
    show_memory();
}

fn unload(module: Module<ModuleExports>) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let report = module.unload()?;
    println!(
        "   unloaded in {:.1?}: its image has left the process, {} KiB in {} blocks were reclaimed",
        start.elapsed(),
        report.memory.bytes.div_ceil(1024),
        report.memory.blocks
    );
    show_memory();
    Ok(())
}

fn build(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    if !command.status()?.success() {
        return Err("the module does not build".into());
    }
    println!("   built in {:.1?}", start.elapsed());
    Ok(())
}

/// Shows the resident set of this process (`proc(5)`, `statm`).
fn show_memory() {
    let pages: usize = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or_default();
    println!("   resident memory: {:.1} MiB", (pages * 4096) as f64 / (1 << 20) as f64);
}
