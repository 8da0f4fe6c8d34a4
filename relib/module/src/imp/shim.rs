//! What the shims of every platform are made of.

use std::sync::atomic::{AtomicPtr, Ordering};

/// The address that an import had before it was redirected.
#[repr(transparent)]
pub(super) struct Original(AtomicPtr<()>);

impl Original {
    pub(super) const fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    pub(super) fn address(&self) -> *const () {
        self.0.load(Ordering::Acquire)
    }
}

/// Where a name stands among others, which have zero bytes behind them.
pub(super) const fn index_of(name: &str, names: &str) -> usize {
    let (name, names) = (name.as_bytes(), names.as_bytes());
    let (mut index, mut at, mut len, mut same) = (0, 0, 0, true);
    while at < names.len() {
        if names[at] == 0 {
            if same && len == name.len() {
                return index;
            }
            (index, len, same) = (index + 1, 0, true);
        } else {
            same = same && len < name.len() && names[at] == name[len];
            len += 1;
        }
        at += 1;
    }
    panic!("a shim is not in the table");
}

/// Defines a module `$name` for each import: the shim, and the original. In the body, `original(...)` calls the latter.
macro_rules! shims {
    ($($(#[$attribute:meta])* fn $name:ident($($argument:ident: $ty:ty),* $(,)?) -> $returns:ty $body:block)*) => {$(
        #[allow(non_snake_case, reason = "the module is named after the import")]
        mod $name {
            use super::*;

            const INDEX: usize = $crate::imp::shim::index_of(stringify!($name), NAMES);

            #[allow(dead_code, reason = "a shim that the host takes over has no use for the original")]
            pub(super) unsafe fn original($($argument: $ty),*) -> $returns {
                type Function = unsafe extern "C-unwind" fn($($ty),*) -> $returns;
                // SAFETY: the host stored the address that the import of this name was bound to, and the shim has the
                // signature that the platform gives to that name.
                let function = unsafe { std::mem::transmute::<*const (), Function>(ORIGINALS[INDEX].address()) };
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

/// Makes the table of the shims.
macro_rules! redirects {
    (Always: $($always:ident)*; CAllocations: $($allocation:ident)*;) => {
        const SHIMS: &[*const ()] = &[$($always::shim as *const (),)* $($allocation::shim as *const (),)*];
        const NAMES: &str = concat!($(stringify!($always), "\0",)* $(stringify!($allocation), "\0",)*);

        // See `context::CONTEXT`.
        #[unsafe(link_section = ".data")]
        static ORIGINALS: [$crate::imp::shim::Original; SHIMS.len()] =
            [const { $crate::imp::shim::Original::new() }; SHIMS.len()];

        /// All shims of the platform.
        pub(crate) const REDIRECTS: relib_abi::entry::Redirects = relib_abi::entry::Redirects {
            names: relib_abi::call::RawSlice::new(NAMES.as_bytes()),
            shims: relib_abi::call::RawSlice::new(SHIMS),
            originals: (&raw const ORIGINALS).cast(),
            always: [$(stringify!($always)),*].len(),
        };
    };
}

/// Calls a function of the host's table with the module's context in front.
macro_rules! tell_host {
    ($function:ident($($argument:expr),*)) => {{
        let (table, module) = $crate::context::host();
        // SAFETY: the table and the context come from the host; the arguments describe a call of the module's own.
        unsafe { (table.$function)(module, $($argument),*) }
    }};
}

pub(super) use {pass_on, redirects, shims, tell_host};

#[cfg(test)]
mod tests {
    use super::index_of;

    #[test]
    fn a_name_is_found_among_others() {
        let names = "open\0open64\0close\0\0";
        assert_eq!(["open", "open64", "close", ""].map(|name| index_of(name, names)), [0, 1, 2, 3]);
    }

    #[test]
    #[should_panic(expected = "a shim is not in the table")]
    fn a_part_of_a_name_is_not_a_name() {
        index_of("open6", "open\0open64\0");
    }
}
