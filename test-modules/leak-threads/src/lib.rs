//! Hands blocks from thread to thread.

use std::hint::black_box;
use std::sync::Mutex;
use std::thread;

use fixture_interface::memory::SharedBlocks;

static BLOCKS: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

#[relib_module::export]
impl SharedBlocks for SharedBlocksImpl {
    fn allocate(blocks: usize, bytes: usize) {
        for _ in 0..blocks {
            let block = black_box(vec![1u8; bytes].into_boxed_slice());
            BLOCKS.lock().unwrap().push(block);
        }
    }

    fn free(blocks: usize) {
        for _ in 0..blocks {
            // The oldest, which another thread has allocated in all likelihood.
            let block = BLOCKS.lock().unwrap().swap_remove(0);
            drop(black_box(block));
        }
    }

    fn exchange(threads: usize, allocate: usize, free: usize, bytes: usize) {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                thread::spawn(move || {
                    Self::allocate(allocate, bytes);
                    Self::free(free);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}
