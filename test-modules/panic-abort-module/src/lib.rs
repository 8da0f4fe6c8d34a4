//! Is built with `panic = "abort"` and leaves a trace when its constructor runs.

use fixture_interface::load::Counter;

/// Leaves a trace in the working directory, before anything else of the image runs.
extern "C" fn constructor() {
    // Without a trace the scenario fails, so an error need not be reported.
    let _ = std::fs::write("constructor-ran", "");
}

fixture_system::constructor!(constructor);

#[relib_module::export]
impl Counter for CounterImpl {
    fn next() -> u64 {
        0
    }
}
