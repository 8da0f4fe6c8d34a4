//! Returns texts as they came.

use std::path::{Path, PathBuf};

use fixture_interface::exports_imports::Strings;

#[relib_module::export]
impl Strings for StringsImpl {
    fn own(text: &str) -> String {
        text.to_owned()
    }

    fn echo(text: String) -> String {
        text
    }

    fn echo_all(texts: Vec<String>) -> Vec<String> {
        texts
    }

    fn concat(texts: &[String]) -> String {
        texts.concat()
    }

    fn own_path(path: &Path) -> PathBuf {
        path.to_owned()
    }
}
