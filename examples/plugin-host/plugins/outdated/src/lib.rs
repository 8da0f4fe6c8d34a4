//! A filter that was written for an older interface and never adapted.

use plugin_interface::TextFilter;

#[relib_module::export]
impl TextFilter for ModuleTextFilterImpl {
    fn describe() -> String {
        "doubles texts".to_owned()
    }

    fn apply(text: String) -> String {
        text.repeat(2)
    }
}
