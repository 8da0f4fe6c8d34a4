//! Exports `before_unload` by the attribute, and has something for each stage of an unload.

mod stages;

#[relib_module::export]
fn before_unload() {
    stages::finish();
}
