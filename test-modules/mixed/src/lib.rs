//! Does a bit of everything that an unload has to clean up after.

use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fs::File;
use std::hint::black_box;
use std::sync::Mutex;

use fixture_interface::reload::Mixed;
use fixture_system::Key;

static LEFT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

struct Tracked(Vec<u8>);

impl Drop for Tracked {
    fn drop(&mut self) {
        // A destructor that allocates.
        black_box(self.0.repeat(2));
    }
}

thread_local!(static OBJECTS: RefCell<Vec<Tracked>> = const { RefCell::new(Vec::new()) });

unsafe extern "C" fn free_box(value: *mut c_void) {
    // SAFETY: the only values under the key are boxes that were given up to it.
    drop(unsafe { Box::from_raw(value.cast::<[u8; 100]>()) });
}

fn leave_key() {
    Key::new(Some(free_box)).set(Box::into_raw(Box::new([1u8; 100])).cast());
}

fn leave_mapping(len: usize) {
    // SAFETY: the memory is new, and as long as this.
    unsafe { fixture_system::map(len).write(1) };
}

#[relib_module::export]
impl Mixed for MixedImpl {
    fn work(seed: u64) -> u64 {
        let amount = (seed % 7 + 1) as usize;
        let map: BTreeMap<usize, String> = (0..100 * amount).map(|n| (n, format!("{n} {seed}"))).collect();
        let checksum = map.values().map(|text| text.len() as u64).sum::<u64>();
        LEFT.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(vec![1; 1000 * amount]);
        std::mem::forget(black_box(map));
        OBJECTS.with_borrow_mut(|objects| objects.push(Tracked(vec![2; amount])));
        leave_key();
        leave_mapping(amount * 4096);
        let executable = std::env::current_exe().expect("a process should have an executable");
        drop(File::open(executable).expect("the executable should open"));
        let sum: u64 = std::thread::scope(|scope| {
            let thread = |n| {
                move || {
                    OBJECTS.with_borrow_mut(|objects| objects.push(Tracked(vec![3; n])));
                    n as u64
                }
            };
            let threads: Vec<_> = (0..amount % 3 + 1).map(|n| scope.spawn(thread(n))).collect();
            threads.into_iter().map(|thread| thread.join().expect("the threads should not panic")).sum()
        });
        // Takes longer than all the rest.
        if seed.is_multiple_of(64) {
            black_box(Backtrace::force_capture().to_string());
        }
        checksum + sum
    }

    fn panic(seed: u64) {
        let _tracked = Tracked(vec![4; 10]);
        panic!("as asked for by {seed}");
    }
}
