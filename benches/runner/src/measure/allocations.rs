//! Allocating in a module, against the host with the system's allocator.

use anyhow::{Context as _, Result};

use super::turns::{alternate, row};
use crate::effort::Effort;
use crate::machine;
use crate::peers::{self, Files};
use crate::results::Results;

/// Blocks of one turn.
const BLOCKS: u64 = 20_000;

pub fn measure(files: &Files, effort: &Effort, results: &mut Results) -> Result<()> {
    let threads = machine::threads();
    let module = peers::load_in_place(&files.module)?;
    let upstream = peers::load_upstream(&files.upstream)?;
    let (ours, theirs) = (module.exports(), upstream.exports());
    let panicked = "the module panicked";
    let per_block = |time: u64, threads: u64| time as f64 / (BLOCKS * threads) as f64;
    macro_rules! compare {
        ($id:literal, $upstream_id:literal, $what:literal, $function:ident, $threads:expr) => {{
            let rounds = effort.rounds;
            let mut module = || Ok(per_block(ours.$function(BLOCKS).context(panicked)?, $threads));
            let mut host = || Ok(per_block(workload::$function(BLOCKS), $threads));
            // SAFETY: both sides were built from the same trait.
            let mut upstream =
                || Ok(per_block(unsafe { theirs.$function(BLOCKS) }.context(panicked)?, $threads));
            let [module, host, upstream] = alternate(rounds, [&mut module, &mut host, &mut upstream])?;
            let system = "the same in the host on the system allocator";
            results.rows.push(row($id, $what, system, module, host, rounds));
            results.rows.push(row($upstream_id, $what, "upstream", module, upstream, rounds));
        }};
    }
    compare!("pairs", "pairs-upstream", "alloc and free pair in the module, one thread", pairs, 1);
    compare!("shuffled", "shuffled-upstream", "1000 live blocks shuffled", shuffled, 1);
    compare!(
        "threads",
        "threads-upstream",
        "alloc and free pair in the module, 4 threads",
        pairs_on_threads,
        workload::THREADS
    );
    // Upstream refuses to unload while a thread is ending that has been joined.
    while machine::threads() > threads {
        std::thread::yield_now();
    }
    peers::unload_upstream(upstream)?;
    peers::unload(module)?;
    Ok(())
}
