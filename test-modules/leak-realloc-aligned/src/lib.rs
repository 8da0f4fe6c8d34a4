//! Asks for memory of all sizes and alignments, and looks at what it gets.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::hint::black_box;

use fixture_interface::memory::Layouts;

/// The byte that fills block number `index`.
fn fill(index: usize) -> u8 {
    (index % 255 + 1) as u8
}

fn check(errors: &mut Vec<String>, what: &str, layout: Layout, block: *const u8, bytes: usize, value: u8) {
    if block.is_null() {
        errors.push(format!("{what} of {layout:?} failed"));
        return;
    }
    if !block.addr().is_multiple_of(layout.align()) {
        errors.push(format!("{what} of {layout:?} is not aligned"));
    }
    // SAFETY: the block holds as many initialised bytes, say the callers.
    if unsafe { std::slice::from_raw_parts(block, bytes) }.iter().any(|byte| *byte != value) {
        errors.push(format!("{what} of {layout:?} has other contents"));
    }
}

#[relib_module::export]
impl Layouts for LayoutsImpl {
    fn exercise() -> Vec<String> {
        let mut errors = Vec::new();
        let mut index = 0;
        for align in (0..=12).map(|power| 1usize << power) {
            for size in [1, 3, 8, 24, 100, 1000, 5000, 70_000, 300_000] {
                index += 1;
                let value = fill(index);
                let layout = Layout::from_size_align(size, align).unwrap();
                let larger = Layout::from_size_align(size * 2 + 1, align).unwrap();
                let smaller = Layout::from_size_align(size / 2 + 1, align).unwrap();
                // SAFETY: each block is used within the layout that it has at the moment, and not after it was freed.
                unsafe {
                    let zeroed = black_box(alloc_zeroed(layout));
                    check(&mut errors, "zeroed block", layout, zeroed, size, 0);
                    zeroed.write_bytes(0xff, size);
                    dealloc(zeroed, layout);

                    let block = black_box(alloc(layout));
                    block.write_bytes(value, size);
                    check(&mut errors, "block", layout, block, size, value);
                    let block = black_box(realloc(block, layout, larger.size()));
                    check(&mut errors, "grown block", larger, block, size, value);
                    block.write_bytes(value, larger.size());
                    let block = black_box(realloc(block, larger, smaller.size()));
                    check(&mut errors, "shrunk block", smaller, block, smaller.size(), value);
                    // Every third one stays.
                    if index % 3 != 0 {
                        dealloc(block, smaller);
                    }
                }
            }
        }
        let mut grown = Vec::new();
        for number in 0..100_000u32 {
            grown.push(black_box(number));
        }
        if grown.iter().enumerate().any(|(index, number)| index as u32 != *number) {
            errors.push("a grown vector has other contents".to_owned());
        }
        std::mem::forget(grown);
        let empty: Box<[u64]> = black_box(Vec::new().into_boxed_slice());
        std::mem::forget(empty);
        std::mem::forget(black_box(vec![(); 1000]));
        errors
    }
}
