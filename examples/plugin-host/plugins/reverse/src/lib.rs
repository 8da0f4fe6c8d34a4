//! A filter that turns texts round, and counts them in a static.

use std::sync::atomic::{AtomicU32, Ordering};

use plugin_interface::{ModuleApplication, TextFilter};

static TEXTS: AtomicU32 = AtomicU32::new(0);

#[relib_module::export]
impl TextFilter for ModuleTextFilterImpl {
    fn describe() -> String {
        "turns texts round".to_owned()
    }

    fn apply(text: &str) -> String {
        let number = TEXTS.fetch_add(1, Ordering::Relaxed) + 1;
        ModuleApplication::log(&format!("reverse: this is my text number {number}"));
        text.chars().rev().collect()
    }
}
