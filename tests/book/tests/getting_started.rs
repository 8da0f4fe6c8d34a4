//! The first chapter shows what the example prints that it is about. That the example prints it is tested with the others.

use relib_book::chapter;
use relib_tests::example::blocks;
use relib_tests::root;

#[test]
fn shows_what_the_example_prints() {
    let chapter = chapter("getting-started.md");
    let readme = std::fs::read_to_string(root().join("examples/hello/README.md")).unwrap();
    let shown =
        blocks(&chapter).into_iter().find(|block| block.language == "text").expect("there is such a block");
    assert!(blocks(&readme).contains(&shown), "getting-started.md shows another output than examples/hello");
}
