//! A module around a C library that calls back and leaks.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use shared::{Exports, ModuleImports};

unsafe extern "C" {
    /// Of `words.c`.
    fn split_words(
        text: *const c_char,
        found: extern "C" fn(context: *mut c_void, word: *const c_char),
        context: *mut c_void,
    ) -> c_int;
}

/// What C calls for each word. A panic in here would end the process, as in every function that C calls.
extern "C" fn found(context: *mut c_void, word: *const c_char) {
    // SAFETY: `split` passes its `longest` as the context, and does not use it until the C function has returned.
    let longest = unsafe { &mut *context.cast::<usize>() };
    // SAFETY: `split_words` passes words that end with a zero byte and stay where they are during the call.
    let word = unsafe { CStr::from_ptr(word) };
    *longest = (*longest).max(word.count_bytes());
    ModuleImports::found(&word.to_string_lossy());
}

#[relib_module::export]
impl Exports for ModuleExportsImpl {
    fn split(text: &str) -> usize {
        let text = CString::new(text).expect("the text has no zero byte");
        let mut longest = 0usize;
        // SAFETY: the text ends with a zero byte, and `found` fits its context.
        let words = unsafe { split_words(text.as_ptr(), found, (&raw mut longest).cast()) };
        assert!(words >= 0, "there is no memory for the text");
        longest
    }
}
