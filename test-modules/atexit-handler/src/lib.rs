//! Registers functions to be called at the end of the process.

use fixture_interface::ledger::AtExit;
use fixture_interface::unload::ModuleEvents;

extern "C" fn first() {
    ModuleEvents::happened("the function that was registered first");
}

extern "C" fn second() {
    // Allocates, which needs the module's heap.
    let text = format!("the function that was registered {}", std::hint::black_box("second"));
    ModuleEvents::happened(&text);
}

#[relib_module::export]
impl AtExit for AtExitImpl {
    fn register() {
        for function in [first as extern "C" fn(), second] {
            // SAFETY: the functions are callable until the image goes, which is when the C library calls them.
            unsafe { fixture_system::at_exit(function) };
        }
    }
}
