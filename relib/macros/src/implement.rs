//! `#[implement]`: what a host offers to its modules. Also reads `impl Interface for Type` for `#[export]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use relib_abi::metadata::HOST_SECTION;
use relib_abi::symbol::PREFIX;
use syn::spanned::Spanned;
use syn::{Error, Ident, ImplItem, ItemImpl, Path, Result, Type, parse2};

use crate::section::{host_record, link_section, own_name};

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
        for member in &item.items {
            let ident = match member {
                ImplItem::Const(constant) => &constant.ident,
                ImplItem::Fn(function) => &function.sig.ident,
                ImplItem::Type(ty) => &ty.ident,
                // A macro may write the functions; what it expands to is not seen here.
                _ => continue,
            };
            if ident.to_string().to_lowercase().starts_with(PREFIX) {
                return Err(Error::new(
                    ident.span(),
                    "names that start with `__relib_` are the interface's own: the functions that they stand for must be \
                     those that the macro made",
                ));
            }
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
        &link_section(HOST_SECTION, &own_name(name)),
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

#[cfg(test)]
mod tests {
    use quote::quote;

    fn refusal(members: proc_macro2::TokenStream) -> Option<String> {
        let item = quote!(impl Exports for ModuleExportsImpl { #members });
        let expanded = super::expand(quote!(), item, &quote!(::relib::__private));
        expanded.err().map(|error| error.to_string())
    }

    #[test]
    fn what_the_interface_provides_cannot_be_replaced() {
        assert_eq!(
            refusal(quote!(
                fn greet() {}
            )),
            None
        );
        for member in [
            quote!(
                const __RELIB_FUNCTIONS: &'static [FunctionEntry] = &[];
            ),
            quote!(
                const __RELIB_INTERFACE: &'static Interface = OTHER;
            ),
            quote!(
                unsafe extern "C" fn __relib_thunk_greet() {}
            ),
        ] {
            let refusal = refusal(quote!(fn greet() {} #member)).expect("the member is refused");
            assert!(refusal.contains("the interface's own"), "{refusal}");
        }
        assert_eq!(refusal(quote!(functions! { greet })), None);
    }
}
