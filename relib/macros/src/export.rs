//! `#[export]`: what a module offers to its host.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use relib_abi::metadata::{RecordKind, SECTION};
use relib_abi::symbol::{self, PREFIX};
use syn::spanned::Spanned;
use syn::{Error, Ident, Item, ItemFn, ItemImpl, Result, ReturnType, Signature, Type, parse_quote, parse2};

use crate::implement::Implementation;

pub fn expand(arguments: TokenStream, item: TokenStream, root: &TokenStream) -> Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(Error::new(arguments.span(), "`export` takes no arguments"));
    }
    match parse2(item)? {
        Item::Fn(function) => export_function(&function, root),
        Item::Impl(item) => export_interface(&item, root),
        other => Err(Error::new(
            other.span(),
            "`export` is for `fn main`, `fn before_unload`, or the implementation of an interface",
        )),
    }
}

fn export_function(function: &ItemFn, root: &TokenStream) -> Result<TokenStream> {
    let signature = &function.sig;
    let name = &signature.ident;
    if name != "main" && name != "before_unload" {
        return Err(Error::new(
            name.span(),
            "only `main` and `before_unload` are exported by name; put other functions into an `#[interface]` trait",
        ));
    }
    let with_parameters = (!signature.inputs.is_empty()).then(|| signature.inputs.span());
    if let Some(span) = unsupported(signature).or(with_parameters) {
        return Err(Error::new(span, format!("`{name}` must be a plain function without parameters")));
    }
    let returns: Type = match &signature.output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, ty) => (**ty).clone(),
    };
    let named = if name == "main" { &MAIN } else { &BEFORE_UNLOAD };
    let body = if name == "before_unload" { quote!(let () = #name();) } else { quote!(#name()) };
    // What `main` returns is for the host that knows its type; a tool that does not can still run it.
    let run = (name == "main").then(|| {
        quote! {
            const _: () = {
                unsafe extern "C" fn run() -> #root::Outcome<()> {
                    #root::catch(|| {
                        #[allow(unused_must_use)]
                        {
                            #name();
                        }
                    })
                }

                #[unsafe(export_name = "__relib_run_main")]
                pub static RUN: #root::FunctionEntry =
                    #root::FunctionEntry { call: run as *const (), release: ::core::ptr::null() };
            };
        }
    });
    let thunk = Thunk { parameters: quote!(), returns: quote!(#returns), body };
    let export = named.export(&thunk, &quote!(<#returns as #root::Return>::TYPE), root);
    Ok(quote! {
        #function
        #export
        #run
    })
}

const MAIN: NamedExport = NamedExport { name: "main", symbol: symbol::MAIN, kind: RecordKind::Main };
const BEFORE_UNLOAD: NamedExport =
    NamedExport { name: "before_unload", symbol: symbol::BEFORE_UNLOAD, kind: RecordKind::BeforeUnload };

/// A function that the host finds by its name.
pub struct NamedExport {
    /// What it is called in metadata.
    pub name: &'static str,
    /// The symbol of its entry.
    pub symbol: &'static str,
    /// The kind of its record.
    pub kind: RecordKind,
}

/// The function that the host calls for it.
pub struct Thunk {
    pub parameters: TokenStream,
    pub returns: TokenStream,
    /// An expression of the type that is returned.
    pub body: TokenStream,
}

impl NamedExport {
    /// The thunk with its entry and its record, which describes a function that returns `described`.
    pub fn export(&self, thunk: &Thunk, described: &TokenStream, root: &TokenStream) -> TokenStream {
        let Thunk { parameters, returns, body } = thunk;
        let text = self.name;
        let symbol = self.symbol;
        let record_symbol = format!("{PREFIX}record_{text}");
        let kind = Ident::new(&format!("{:?}", self.kind), Span::call_site());
        quote! {
            const _: () = {
                #[allow(improper_ctypes_definitions)]
                unsafe extern "C" fn __relib_thunk(#parameters) -> #root::Outcome<<#returns as #root::Return>::Wire> {
                    #root::catch(move || <#returns as #root::Return>::send({ #body }))
                }

                #[unsafe(export_name = #symbol)]
                pub static __RELIB_ENTRY: #root::FunctionEntry = #root::FunctionEntry {
                    call: __relib_thunk as *const (),
                    release: <#returns as #root::Return>::RELEASE,
                };

                const __RELIB_FUNCTIONS: &[#root::Function] = &[#root::Function {
                    name: #text,
                    parameters: &[],
                    returns: #described,
                    lifetimes: "",
                }];
                const __RELIB_PAYLOAD_LEN: usize = #root::metadata::interface_payload_len(#text, __RELIB_FUNCTIONS);
                const __RELIB_PAYLOAD: [u8; __RELIB_PAYLOAD_LEN] = #root::metadata::interface_payload(#text, __RELIB_FUNCTIONS);
                const __RELIB_LEN: usize = #root::metadata::record_len(&[&__RELIB_PAYLOAD]);

                #[unsafe(link_section = #SECTION)]
                #[unsafe(export_name = #record_symbol)]
                pub static __RELIB_RECORD: [u8; __RELIB_LEN] =
                    #root::metadata::record(#root::metadata::RecordKind::#kind, &[&__RELIB_PAYLOAD]);
            };
        }
    }
}

/// The first thing about a function that keeps it from being exported by name, apart from its parameters.
pub fn unsupported(signature: &Signature) -> Option<Span> {
    signature
        .asyncness
        .map(|token| token.span())
        .or(signature.unsafety.map(|token| token.span()))
        .or(signature.abi.as_ref().map(Spanned::span))
        .or((!signature.generics.params.is_empty()).then(|| signature.generics.span()))
}

fn export_interface(item: &ItemImpl, root: &TokenStream) -> Result<TokenStream> {
    let Implementation { interface, implementor, name } = Implementation::of(item)?;
    let symbol = format!("{PREFIX}export_{name}_{}", crate::names::unique_name());
    let record_symbol = format_ident!("{symbol}_record").to_string();
    Ok(quote! {
        #[doc = "Implements the interface that this module exports."]
        #[derive(Debug)]
        pub struct #name;

        #item

        const _: () = {
            #[unsafe(export_name = #symbol)]
            pub static __RELIB_TABLE: #root::ExportTable = #root::ExportTable {
                functions: #root::RawSlice::new(<#implementor as #interface>::__RELIB_FUNCTIONS),
            };

            const __RELIB_SYMBOL_LEN: usize = #root::metadata::symbol_payload_len(#symbol);
            const __RELIB_SYMBOL: [u8; __RELIB_SYMBOL_LEN] = #root::metadata::symbol_payload(#symbol);
            const __RELIB_PAYLOAD: &[u8] = <#implementor as #interface>::__RELIB_INTERFACE.payload;
            const __RELIB_LEN: usize = #root::metadata::record_len(&[&__RELIB_SYMBOL, __RELIB_PAYLOAD]);

            #[unsafe(link_section = #SECTION)]
            #[unsafe(export_name = #record_symbol)]
            pub static __RELIB_RECORD: [u8; __RELIB_LEN] =
                #root::metadata::record(#root::metadata::RecordKind::Export, &[&__RELIB_SYMBOL, __RELIB_PAYLOAD]);
        };
    })
}
