//! Exports `before_unload` by the macro, and has something for each stage of an unload.

#[path = "../../before-unload-attribute/src/stages.rs"]
mod stages;

relib_module::define_module_export! {
    fn before_unload() {
        stages::finish();
    }
}
