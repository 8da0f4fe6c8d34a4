//! What the shims of every platform are made of.

use std::sync::atomic::{AtomicPtr, Ordering};

/// The address that an import had before it was redirected.
pub(super) struct Original(pub(super) AtomicPtr<()>);

impl Original {
    pub(super) const fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    pub(super) fn address(&self) -> *const () {
        self.0.load(Ordering::Acquire)
    }
}

/// Defines a module `$name` for each import: the shim, and the original. In the body, `original(...)` calls the latter.
macro_rules! shims {
    ($($(#[$attribute:meta])* fn $name:ident($($argument:ident: $ty:ty),* $(,)?) -> $returns:ty $body:block)*) => {$(
        #[allow(non_snake_case, reason = "the module is named after the import")]
        mod $name {
            use super::*;

            // See `entry::CONTEXT`.
            #[unsafe(link_section = ".data")]
            pub(super) static ORIGINAL: $crate::imp::shim::Original = $crate::imp::shim::Original::new();

            #[allow(dead_code, reason = "a shim that the host takes over has no use for the original")]
            pub(super) unsafe fn original($($argument: $ty),*) -> $returns {
                type Function = unsafe extern "C-unwind" fn($($ty),*) -> $returns;
                // SAFETY: the host stored the address that the import of this name was bound to, and the shim has the
                // signature that the platform gives to that name.
                let function = unsafe { std::mem::transmute::<*const (), Function>(ORIGINAL.address()) };
                // SAFETY: the arguments are those that the module passed for this very function.
                unsafe { function($($argument),*) }
            }

            $(#[$attribute])*
            pub(super) unsafe extern "C-unwind" fn shim($($argument: $ty),*) -> $returns $body
        }
    )*};
}

/// Calls the original of the shim that this stands in, with the arguments that the module has passed to the shim.
macro_rules! pass_on {
    ($($argument:expr),* $(,)?) => {{
        // SAFETY: the module meets the requirements of the function that it calls, and the shim changes no argument.
        unsafe { original($($argument),*) }
    }};
}

/// The table entries for some shims.
macro_rules! redirects {
    ($($group:ident: $($name:ident)*;)*) => {
        &[$($(relib_abi::entry::Redirect {
            name: relib_abi::call::RawSlice::new(stringify!($name).as_bytes()),
            shim: $name::shim as *const (),
            original: &raw const $name::ORIGINAL.0,
            group: relib_abi::entry::RedirectGroup::$group,
        },)*)*]
    };
}

/// Calls a function of the host's table with the module's context in front.
macro_rules! tell_host {
    ($function:ident($($argument:expr),*)) => {{
        let (table, module) = $crate::entry::host();
        // SAFETY: the table and the context come from the host; the arguments describe a call of the module's own.
        unsafe { (table.$function)(module, $($argument),*) }
    }};
}

pub(super) use {pass_on, redirects, shims, tell_host};
