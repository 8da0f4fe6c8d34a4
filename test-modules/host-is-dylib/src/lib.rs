//! A host that is itself a dynamic library: it loads modules into whatever program has loaded it.

use std::error::Error;
use std::ffi::{CStr, c_char};
use std::panic::catch_unwind;
use std::sync::RwLock;

use fixture_interface::exports_imports::{Host, ModuleCountdown};
use relib::Module;

/// The module, for the imports.
static MODULE: RwLock<Option<Module<ModuleCountdown>>> = RwLock::new(None);

#[relib::implement]
impl Host for HostImpl {
    fn continue_from(number: u32) -> String {
        let module = MODULE.read().expect("nobody panics with the lock");
        module.as_ref().and_then(|module| module.exports().count_from(number)).expect("no panic here")
    }

    fn greeting() -> &'static str {
        "says the dynamic library"
    }
}

fn cycle(path: &CStr) -> Result<String, Box<dyn Error>> {
    // SAFETY: the module is a fixture of this repository.
    let module = unsafe { relib::load_module(path.to_str()?, HostImpl)? };
    *MODULE.write().expect("nobody panics with the lock") = Some(module);
    let text = HostImpl::continue_from(3);
    let module = MODULE.write().expect("nobody panics with the lock").take();
    module.ok_or("the module is there")?.unload()?;
    Ok(text)
}

/// Loads the module at `path`, calls it, unloads it, and hands what it said, or what went wrong, to `sink`.
///
/// # Safety
/// `path` must be a C string, and `sink` a function that takes `context`, a text and its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn run_host(
    path: *const c_char,
    context: *mut (),
    sink: unsafe extern "C" fn(*mut (), *const u8, usize),
) {
    // SAFETY: the caller passes a C string that lives until this returns.
    let path = unsafe { CStr::from_ptr(path) };
    let text = match catch_unwind(|| cycle(path)) {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the host panicked".to_owned(),
    };
    // SAFETY: the caller passes a function with its context.
    unsafe { sink(context, text.as_ptr(), text.len()) };
}
