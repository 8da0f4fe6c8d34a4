//! Programs that link `relib_module` without being loaded by a host, such as the unit tests of a module.

use relib_module as _;

#[test]
fn memory_is_not_limited_to_the_arena() {
    let mut blocks: Vec<Vec<u8>> = (0..10_240).map(|number| vec![number as u8; 1024]).collect();
    for (number, block) in blocks.iter_mut().enumerate() {
        block.resize(3000, 7);
        assert!(
            block[..1024].iter().all(|byte| *byte == number as u8)
                && block[1024..].iter().all(|byte| *byte == 7)
        );
        block.truncate(10);
        block.shrink_to_fit();
        assert_eq!(block[..], [number as u8; 10]);
    }
}

#[test]
fn zeroed_memory_holds_zeros_when_it_is_used_again() {
    for _ in 0..100 {
        let mut block = vec![0u8; 64 * 1024];
        assert!(block.iter().all(|byte| *byte == 0));
        block.fill(0xAA);
        std::hint::black_box(&block);
    }
}

#[test]
fn alignments_are_kept() {
    #[repr(align(16384))]
    struct Aligned([u8; 16384]);

    let aligned: Vec<Box<Aligned>> = (0..64).map(|number| Box::new(Aligned([number; 16384]))).collect();
    for (number, block) in aligned.iter().enumerate() {
        assert!(std::ptr::from_ref(&**block).addr().is_multiple_of(16384));
        assert!(block.0.iter().all(|byte| usize::from(*byte) == number));
    }
}

#[test]
fn blocks_are_freed_by_other_threads() {
    let blocks: Vec<String> = (0..1000).map(|number| format!("{number}").repeat(500)).collect();
    std::thread::spawn(move || drop(blocks)).join().expect("the thread frees what it was given");
}
