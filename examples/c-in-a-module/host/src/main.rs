//! Loads a module with C code twice, without and with the option that gives its C code the module's heap, and shows
//! what an unload reclaims.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};

use relib::{LoadError, LoadOptions, Module};
use shared::{Imports, ModuleExports};

static WORDS: AtomicUsize = AtomicUsize::new(0);

#[relib::implement]
impl Imports for ModuleImportsImpl {
    fn found(_word: &str) {
        WORDS.fetch_add(1, Ordering::Relaxed);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // The first load of a process fills caches of the host's, which are not to be counted below.
    load(&LoadOptions::new())?.unload()?;

    let text = "lorem ipsum dolor sit amet ".repeat(400);
    for reclaim in [false, true] {
        println!("with reclaim_c_allocations({reclaim}):");
        let libc_before = libc_bytes();
        let module = load(&LoadOptions::new().reclaim_c_allocations(reclaim))?;

        let before = module.memory();
        for _ in 0..100 {
            module.exports().split(&text).ok_or("split panicked")?;
        }
        println!("  {} words were reported", WORDS.swap(0, Ordering::Relaxed));

        let report = module.unload()?;
        println!("  the unload reclaimed {} blocks of these calls", report.memory.blocks - before.blocks);
        let left = libc_bytes().saturating_sub(libc_before);
        println!("  {:.1} MiB are left in the heap of the C library", left as f64 / f64::from(1 << 20));
    }
    Ok(())
}

fn load(options: &LoadOptions) -> Result<Module<ModuleExports>, LoadError> {
    // SAFETY: the module is our own code, and its C code hands no block to functions of the C library that resize or
    // free it.
    unsafe { options.load("target/debug/libmodule.so", ModuleImportsImpl) }
}

/// Bytes in use on the heap of the C library.
fn libc_bytes() -> usize {
    // SAFETY: the function has no preconditions.
    unsafe { libc::mallinfo2() }.uordblks
}
