//! Threads that run until told to stop, threads that are joined, and detached ones.

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fixture_interface::threads::Threads;

static STOP: AtomicBool = AtomicBool::new(false);
static STARTED: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

/// Allocates when it is dropped.
struct Lines(Vec<String>);

impl Drop for Lines {
    fn drop(&mut self) {
        self.0.extend((0..10).map(|index| black_box(format!("late line {index}"))));
    }
}

thread_local! {
    static LINES: RefCell<Lines> = const { RefCell::new(Lines(Vec::new())) };
}

fn work() {
    LINES.with_borrow_mut(|lines| lines.0.push(black_box("line".to_owned())));
    for len in [8, 100, 3000] {
        std::mem::forget(black_box(vec![1u8; len]));
    }
}

#[relib_module::export]
impl Threads for ThreadsImpl {
    fn start(name: &str) {
        let (started, has_started) = mpsc::channel();
        let body = move || {
            started.send(()).unwrap();
            while !STOP.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(body).unwrap();
        STARTED.lock().unwrap().push(thread);
        // A thread has its name by the time it gets to its body.
        has_started.recv().unwrap();
    }

    fn stop() {
        STOP.store(true, Ordering::Relaxed);
    }

    fn join() {
        STARTED.lock().unwrap().drain(..).for_each(|thread| thread.join().unwrap());
    }

    fn start_for(millis: u64) {
        thread::spawn(move || thread::sleep(Duration::from_millis(millis)));
    }

    fn sum_joined(threads: u64) -> u64 {
        let threads: Vec<_> = (0..threads).map(|number| thread::spawn(move || number)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    }

    fn sum_scoped(threads: u64) -> u64 {
        let sum = Mutex::new(0);
        thread::scope(|scope| {
            for number in 0..threads {
                let sum = &sum;
                scope.spawn(move || *sum.lock().unwrap() += number);
            }
        });
        sum.into_inner().unwrap()
    }

    fn detach(threads: usize) {
        // Leaked, since the last thread to leave the barrier may still look at it when this one has gone on.
        let barrier: &'static Barrier = Box::leak(Box::new(Barrier::new(threads + 1)));
        for _ in 0..threads {
            thread::spawn(|| {
                work();
                barrier.wait();
            });
        }
        barrier.wait();
    }

    fn work() {
        work();
    }
}
