//! Records in sections of their own. Linkers drop whole sections, so that only what an image uses remains in its file.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Ident;

/// A name for the sections of one item.
pub fn own_name(item: &Ident) -> String {
    format!("{item}.{}", crate::names::unique_name())
}

/// The attribute that puts a static into the section `own` below `base`. PE linkers join what stands before the `$`.
pub fn link_section(base: &str, own: &str) -> TokenStream {
    let [elf, pe] = [".", "$"].map(|separator| format!("{base}{separator}{own}"));
    quote! {
        #[cfg_attr(not(windows), unsafe(link_section = #elf))]
        #[cfg_attr(windows, unsafe(link_section = #pe))]
    }
}

/// The attribute that gives a static that is written to a section of its own. Compilers do that for ELF; for PE, what one
/// file of the linker's input has of `.data` stays together, or goes.
pub fn own_data_section(own: &str) -> TokenStream {
    let pe = format!(".data${own}");
    quote!(#[cfg_attr(windows, unsafe(link_section = #pe))])
}

/// The attributes of the function that other crates find the statics of an item by.
///
/// For PE, a static that other crates name is pointed to by `__imp_` and its name, and all these pointers of one file of
/// the linker's input stay together: whoever uses one static would keep them all. So only this function names it, which
/// is never inlined, and which linkers drop, because it is in a section of its own and too small to need unwind
/// information.
pub fn own_function_section(own: &str) -> TokenStream {
    let pe = format!(".text${own}");
    quote! {
        #[cfg_attr(not(windows), inline)]
        #[cfg_attr(windows, inline(never), unsafe(link_section = #pe))]
    }
}

/// Statements that leave a record of `interface` in the host's file if the function that they stand in is part of it.
pub fn host_record(
    kind: &Ident,
    interface: &TokenStream,
    section: &TokenStream,
    root: &TokenStream,
) -> TokenStream {
    quote! {
        const __RELIB_PAYLOAD: &[u8] = #interface.payload;
        const __RELIB_LEN: usize = #root::metadata::record_len(&[__RELIB_PAYLOAD]);
        #section
        static __RELIB_RECORD: [u8; __RELIB_LEN] =
            #root::metadata::record::<__RELIB_LEN>(#root::metadata::RecordKind::#kind, &[__RELIB_PAYLOAD]);
        #root::keep_record(&__RELIB_RECORD);
    }
}
