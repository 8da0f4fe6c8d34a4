//! The guide in `docs/book`, chapter by chapter, so that `cargo test` compiles the Rust code in it.
//!
//! What the chapters say about outputs, errors and gdb is tested in `tests`. It must not know how relib works.

use std::path::{Path, PathBuf};

/// Makes a documented module of each chapter, for rustdoc to find the code.
macro_rules! chapters {
    ($($name:ident $file:literal)*) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!(concat!("../../../docs/book/src/", $file))]
            mod $name {}
        )*

        /// The files of the chapters whose code is tested.
        pub const CHAPTERS: &[&str] = &[$($file),*];
    };
}

chapters! {
    introduction "introduction.md"
    getting_started "getting-started.md"
    unloading "unloading.md"
    errors "errors.md"
    production "production.md"
    debugging "debugging.md"
    migration "migration.md"
}

/// The folder of the chapters.
pub fn folder() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
    Path::new(&package).join("../../docs/book/src")
}

/// A chapter.
///
/// # Panics
/// When it cannot be read.
pub fn chapter(file: &str) -> String {
    let path = folder().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_chapter_is_forgotten() {
        let summary = chapter("SUMMARY.md");
        for entry in std::fs::read_dir(folder()).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            if file == "SUMMARY.md" {
                continue;
            }
            assert!(summary.contains(&format!("({file})")), "SUMMARY.md lacks {file}");
            assert!(
                CHAPTERS.contains(&file.as_str()),
                "the code of {file} is not tested; add it to `chapters!`"
            );
        }
    }
}
