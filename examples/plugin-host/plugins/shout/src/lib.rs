//! A filter that shouts.

use plugin_interface::TextFilter;

/// How loud.
const END: &str = "!";

#[relib_module::export]
impl TextFilter for ModuleTextFilterImpl {
    fn describe() -> String {
        format!("puts texts into capitals and appends {END}")
    }

    fn apply(text: &str) -> String {
        text.to_uppercase() + END
    }
}
