//! Uses rayon: its global pool, which never ends, and a pool that is dropped.

use std::hint::black_box;

use fixture_interface::threads::Pool;
use rayon::ThreadPoolBuilder;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

fn builder(name: &'static str) -> ThreadPoolBuilder {
    ThreadPoolBuilder::new().num_threads(2).thread_name(move |index| format!("{name}-{index}"))
}

fn sum(end: u64) -> u64 {
    (0..end).into_par_iter().map(black_box).sum()
}

#[relib_module::export]
impl Pool for PoolImpl {
    fn sum_global(end: u64) -> u64 {
        // Two threads on every machine. The pool may be there from an earlier call.
        _ = builder("rayon").build_global();
        // Until each thread runs: one that has not begun has no name yet.
        rayon::broadcast(|_| ());
        sum(end)
    }

    fn sum_local(end: u64) -> u64 {
        builder("local").build().unwrap().install(|| sum(end))
    }
}
