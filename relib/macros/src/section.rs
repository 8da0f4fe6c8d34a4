//! Records in sections of their own. Linkers drop whole sections, so that only what an image uses remains in its file.

use std::hash::{DefaultHasher, Hash, Hasher};

use proc_macro2::TokenStream;
use quote::quote;
use syn::Ident;

/// The attribute that puts a static into a section of its own, below `base`. PE linkers join what stands before the `$`.
///
/// Two items of one crate may have the same name in different modules; the hash of their text tells them apart.
pub fn link_section(base: &str, name: &Ident, hash: u64) -> TokenStream {
    let [elf, pe] = [".", "$"].map(|separator| format!("{base}{separator}{name}.{hash:016x}"));
    quote! {
        #[cfg_attr(not(windows), unsafe(link_section = #elf))]
        #[cfg_attr(windows, unsafe(link_section = #pe))]
    }
}

/// The hash of an item's text.
pub fn text_hash(item: &TokenStream) -> u64 {
    let mut hasher = DefaultHasher::new();
    item.to_string().hash(&mut hasher);
    hasher.finish()
}

/// Statements that leave a record of `interface` in the host's file if the function that they stand in is part of it.
pub fn host_record(
    kind: &Ident,
    interface: &TokenStream,
    section: &TokenStream,
    root: &TokenStream,
) -> TokenStream {
    quote! {
        const PAYLOAD: &[u8] = #interface.payload;
        const LEN: usize = #root::metadata::record_len(&[PAYLOAD]);
        #section
        static RECORD: [u8; LEN] =
            #root::metadata::record::<LEN>(#root::metadata::RecordKind::#kind, &[PAYLOAD]);
        #root::keep_record(&RECORD);
    }
}
