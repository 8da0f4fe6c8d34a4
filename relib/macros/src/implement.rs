//! `#[implement]`: what a host offers to its modules. Also reads `impl Interface for Type` for `#[export]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::spanned::Spanned;
use syn::{Error, Ident, ItemImpl, Path, Result, Type, parse2};

use crate::section::{host_record, link_section, text_hash};

/// The parts of `impl Interface for Type` where `Type` is a name to be declared.
pub struct Implementation<'a> {
    pub interface: &'a Path,
    pub implementor: &'a Type,
    pub name: &'a Ident,
}

impl<'a> Implementation<'a> {
    pub fn of(item: &'a ItemImpl) -> Result<Self> {
        let Some((None, interface, _)) = &item.trait_ else {
            return Err(Error::new(
                item.span(),
                "expected `impl Interface for Type`, where `Interface` is a trait marked `#[interface]`",
            ));
        };
        if !item.generics.params.is_empty() {
            return Err(Error::new(
                item.generics.span(),
                "the implementation of an interface cannot be generic",
            ));
        }
        let name = match &*item.self_ty {
            Type::Path(path) => path.path.get_ident(),
            _ => None,
        };
        let Some(name) = name else {
            return Err(Error::new(
                item.self_ty.span(),
                "expected a new name, such as `ModuleExportsImpl`; the macro declares the type",
            ));
        };
        Ok(Self { interface, implementor: &item.self_ty, name })
    }
}

pub fn expand(arguments: TokenStream, item: TokenStream, root: &TokenStream) -> Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(Error::new(arguments.span(), "`implement` takes no arguments"));
    }
    let item: ItemImpl = parse2(item)?;
    let Implementation { interface, implementor, name } = Implementation::of(&item)?;
    let record = host_record(
        &format_ident!("Provided"),
        &quote!(<#implementor as #interface>::__RELIB_INTERFACE),
        &link_section(".relibh", name, text_hash(&item.to_token_stream())),
        root,
    );
    Ok(quote! {
        #[doc = "Provides imports to modules."]
        #[derive(Debug)]
        pub struct #name;

        #item

        // SAFETY: the functions are the thunks that the interface's macro made for this implementation, in its order.
        unsafe impl #root::ProvideImports for #name {
            fn provided(&self) -> ::std::vec::Vec<#root::ProvidedImports> {
                #record
                ::std::vec![#root::ProvidedImports {
                    interface: <#implementor as #interface>::__RELIB_INTERFACE,
                    functions: <#implementor as #interface>::__RELIB_FUNCTIONS,
                }]
            }
        }
    })
}
