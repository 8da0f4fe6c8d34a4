//! Calls an import as another version of the shared crate declares it.

use fixture_interface::mismatch::ModuleImports;

#[relib_module::export]
fn main() {
    ModuleImports::log(1, "a line");
}
