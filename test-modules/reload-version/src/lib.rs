//! Says which version of its source it was built from. Scenarios change a copy of it.

use fixture_interface::reload::Version;

#[relib_module::export]
impl Version for VersionImpl {
    fn version() -> u32 {
        1
    }
}
