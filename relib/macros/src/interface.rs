//! `#[interface]`: the trait with its thunks, and the handle for the calling side.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use relib_abi::metadata::{HOST_SECTION, IMPORT_SECTION, SECTION};
use syn::spanned::Spanned;
use syn::{Error, Ident, ItemTrait, Result, TraitItem, Type, parse_quote, parse2};

use crate::lifetimes;
use crate::section::{host_record, link_section, own_data_section, own_function_section, own_name};
use crate::signature::{Function, allowed_lints};

/// Which side implements the interface.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// The module implements it and the host calls it.
    Exports,
    /// The host implements it and the module calls it.
    Imports,
}

pub fn expand(arguments: TokenStream, item: TokenStream, root: &TokenStream) -> Result<TokenStream> {
    let direction = direction(arguments)?;
    let mut item: ItemTrait = parse2(item)?;
    if !item.generics.params.is_empty() {
        return Err(Error::new(item.generics.span(), "an interface cannot be generic"));
    }
    let mut read = Vec::new();
    for member in &item.items {
        match member {
            TraitItem::Fn(function) => read.push(Function::from_trait_item(function)),
            other => read.push(Err(Error::new(other.span(), "an interface may contain only functions"))),
        }
    }
    let functions = all_or_errors(read)?;
    let name = interface_name(&item.ident);
    let handle = format_ident!("Module{}", item.ident);
    for function in &functions {
        item.items.push(thunk(function, root));
    }
    let thunks = functions.iter().map(|function| {
        let thunk = thunk_name(function);
        let returns = lifetimes::replace(&function.returns, "'static");
        quote!(#root::FunctionEntry {
            call: Self::#thunk as *const (),
            release: <#returns as #root::Return>::RELEASE,
        })
    });
    item.items.push(parse_quote! {
        #[doc(hidden)]
        const __RELIB_FUNCTIONS: &'static [#root::FunctionEntry] = &[#(#thunks),*];
    });
    item.items.push(parse_quote! {
        #[doc(hidden)]
        const __RELIB_INTERFACE: &'static #root::Interface = #handle::__RELIB_INTERFACE;
    });
    let description = description(&name, &functions, root);
    let checks = functions.iter().map(|function| {
        [references_outlive_the_call(function, root), Some(lifetimes_are_as_written(function, root))]
    });
    let checks = checks.flatten();
    let caller = match direction {
        Direction::Exports => exports_handle(&item, &handle, &functions, root),
        Direction::Imports => imports_handle(&item, &handle, &name, &functions, root),
    };
    Ok(quote! {
        #item

        impl #handle {
            #[doc(hidden)]
            pub const __RELIB_INTERFACE: &'static #root::Interface = { #description };
        }

        #caller

        #(#checks)*
    })
}

/// The functions, or what is wrong with each of those that are none of an interface.
fn all_or_errors(read: Vec<Result<Function>>) -> Result<Vec<Function>> {
    let (functions, errors): (Vec<_>, Vec<_>) = read.into_iter().partition(Result::is_ok);
    let errors = errors.into_iter().filter_map(Result::err).reduce(|mut all, error| {
        all.combine(error);
        all
    });
    match errors {
        Some(errors) => Err(errors),
        None => Ok(functions.into_iter().filter_map(Result::ok).collect()),
    }
}

fn direction(arguments: TokenStream) -> Result<Direction> {
    if arguments.is_empty() {
        return Ok(Direction::Exports);
    }
    let argument: Ident = parse2(arguments)?;
    match argument.to_string().as_str() {
        "exports" => Ok(Direction::Exports),
        "imports" => Ok(Direction::Imports),
        _ => Err(Error::new(
            argument.span(),
            "expected `exports` (the module implements the interface, the default) or `imports` (the host does)",
        )),
    }
}

/// The path of the trait, by which the two sides find each other's interfaces, as an expression.
fn interface_name(ident: &Ident) -> TokenStream {
    quote!(::core::concat!(::core::module_path!(), "::", ::core::stringify!(#ident)))
}

fn thunk_name(function: &Function) -> Ident {
    format_ident!("__relib_thunk_{}", function.name)
}

/// The types of the parameters and the return type with all lifetimes `'static`: wire forms do not depend on them.
fn static_types(function: &Function) -> (Vec<Type>, Type) {
    (
        function.parameters.iter().map(|(_, ty)| lifetimes::replace(ty, "'static")).collect(),
        lifetimes::replace(&function.returns, "'static"),
    )
}

/// The `extern "C"` function that the other side calls, as a provided function of the trait.
fn thunk(function: &Function, root: &TokenStream) -> TraitItem {
    let name = &function.name;
    let thunk = thunk_name(function);
    let (types, returns) = static_types(function);
    let arguments: Vec<Ident> = (0..types.len()).map(|i| format_ident!("argument_{i}")).collect();
    parse_quote! {
        #[doc(hidden)]
        #[allow(deprecated, improper_ctypes_definitions, clippy::missing_safety_doc, clippy::let_unit_value)]
        unsafe extern "C" fn #thunk(
            #(#arguments: <#types as #root::Argument>::Wire),*
        ) -> #root::Outcome<<#returns as #root::Return>::Wire> {
            #root::catch(move || {
                // SAFETY: the caller compared this function's fingerprint with its own and passes the wire forms of
                // arguments that it keeps in place until the thunk returns.
                #(let mut #arguments = unsafe { <#types as #root::Argument>::accept(#arguments) };)*
                let result = Self::#name(
                    // SAFETY: each argument is opened once, and outlives the call.
                    #(unsafe { <#types as #root::Argument>::open(&mut #arguments) }),*
                );
                // All of what goes back is ready before any of it is stored: a panic on the way changes nothing.
                #(let #arguments = <#types as #root::Argument>::prepare(#arguments);)*
                let result = <#returns as #root::Return>::send(result);
                #(<#types as #root::Argument>::commit(#arguments);)*
                result
            })
        }
    }
}

/// Refuses a function that could return a reference into the copy that is made of a mutable argument for the call.
fn references_outlive_the_call(function: &Function, root: &TokenStream) -> Option<TokenStream> {
    let (types, _) = static_types(function);
    let returns = &function.returns;
    lifetimes::occur_in(returns).then(|| {
        quote_spanned!(returns.span()=> #(const _: () = ::core::assert!(
            <#types as #root::Argument>::IN_PLACE,
            "a function that returns a reference cannot take `&mut` of a type that owns memory: \
             the reference could point into the copy that is made for the call",
        );)*)
    })
}

/// Refuses types that reach what outlives neither call nor module. The compiler sees through names that this macro cannot
/// see through, such as aliases and associated types: a type in which a lifetime is written must be lent for that very
/// lifetime, and every other type must be one that is copied.
fn lifetimes_are_as_written(function: &Function, root: &TokenStream) -> TokenStream {
    let types = function.parameters.iter().map(|(_, ty)| ty).chain([&function.returns]);
    let checks = types.map(|ty| {
        // The names of the checks have no path, so that every token has the place of the type, and so has the error.
        let check = if lifetimes::occur_in(ty) {
            let lent = lifetimes::replace(ty, "'relib");
            quote_spanned!(ty.span()=> require_lent::<'relib, #lent>();)
        } else {
            quote_spanned!(ty.span()=> require_transfer::<#ty>();)
        };
        quote! {
            const _: () = {
                #[allow(unused_imports)]
                use #root::{require_lent, require_transfer};
                #[allow(dead_code, clippy::extra_unused_lifetimes)]
                fn check<'relib>() {
                    #check
                }
            };
        }
    });
    quote!(#(#checks)*)
}

/// The constant that describes the interface.
fn description(name: &TokenStream, functions: &[Function], root: &TokenStream) -> TokenStream {
    let functions = functions.iter().map(|function| {
        let name = function.name.to_string();
        let (types, returns) = static_types(function);
        let names = function.parameters.iter().map(|(name, _)| name.to_string());
        let written: Vec<&Type> = function.parameters.iter().map(|(_, ty)| ty).collect();
        let lifetimes = lifetimes::normal_form(&function.generics, &written, &function.returns);
        quote!(#root::Function {
            name: #name,
            parameters: const { &[#(#root::Parameter { name: #names, ty: <#types as #root::Argument>::TYPE }),*] },
            returns: <#returns as #root::Return>::TYPE,
            lifetimes: #lifetimes,
        })
    });
    quote! {
        const __RELIB_FUNCTIONS: &[#root::Function] = &[#(#functions),*];
        #[allow(long_running_const_eval)]
        const __RELIB_LEN: usize = #root::metadata::interface_payload_len(#name, __RELIB_FUNCTIONS);
        #[allow(long_running_const_eval)]
        const __RELIB_PAYLOAD: [u8; __RELIB_LEN] =
            #root::metadata::interface_payload::<__RELIB_LEN>(#name, __RELIB_FUNCTIONS);
        &#root::Interface { name: #name, functions: __RELIB_FUNCTIONS, payload: &__RELIB_PAYLOAD }
    }
}

/// The wire call of function `index` through `thunk`, as an expression of the type `Outcome`.
///
/// It stands where the parameters are in scope under the names that the user gave them, so its own names are reserved.
fn wire_call(function: &Function, thunk: TokenStream, root: &TokenStream) -> TokenStream {
    let (types, returns) = static_types(function);
    let names = function.parameters.iter().map(|(name, _)| name);
    quote! {{
        #[allow(improper_ctypes_definitions, non_camel_case_types)]
        type __RelibThunk = unsafe extern "C" fn(
            #(<#types as #root::Argument>::Wire),*
        ) -> #root::Outcome<<#returns as #root::Return>::Wire>;
        // SAFETY: relib compared the fingerprints of this function on both sides before it connected them, so the
        // address is that of a thunk of this type.
        let __relib_thunk = unsafe { ::core::mem::transmute::<*const (), __RelibThunk>(#thunk) };
        // SAFETY: the arguments are alive and unused until the call returns; the image is loaded as long as its
        // functions can be reached.
        unsafe { __relib_thunk(#(#root::Argument::lend(&mut #names)),*) }
    }}
}

fn exports_handle(
    item: &ItemTrait,
    handle: &Ident,
    functions: &[Function],
    root: &TokenStream,
) -> TokenStream {
    let visibility = &item.vis;
    let record = host_record(
        &format_ident!("Wanted"),
        &quote!(#handle::__RELIB_INTERFACE),
        &link_section(HOST_SECTION, &own_name(&item.ident)),
        root,
    );
    let documentation = format!(
        "Calls a module that implements [`{}`]; each function returns `None` if the module panicked.",
        item.ident
    );
    let methods = functions.iter().enumerate().map(|(index, function)| {
        let attributes = &function.attributes;
        let name = &function.name;
        let (_, static_returns) = static_types(function);
        let call = wire_call(function, quote!(self.0.thunk(#index)), root);
        let body = quote! {{
            let __relib_outcome = #call;
            // SAFETY: the outcome is that of the function with this index, whose return type is this.
            unsafe { self.0.finish::<#static_returns>(#index, __relib_outcome) }
        }};
        if lifetimes::occur_in(&function.returns) {
            // What comes back may live in the module, so it borrows from the handle as well as from the arguments.
            let names = function.parameters.iter().map(|(name, _)| name);
            let types = function.parameters.iter().map(|(_, ty)| lifetimes::replace(ty, "'relib"));
            let returns = lifetimes::replace(&function.returns, "'relib");
            quote! {
                #(#attributes)*
                #[inline]
                #[allow(unused_mut)]
                #visibility fn #name<'relib>(&'relib self, #(mut #names: #types),*) -> ::core::option::Option<#returns> #body
            }
        } else {
            let generics = &function.generics;
            let bounds = &generics.where_clause;
            let names = function.parameters.iter().map(|(name, _)| name);
            let types = function.parameters.iter().map(|(_, ty)| ty);
            let returns = &function.returns;
            quote! {
                #(#attributes)*
                #[inline]
                #[allow(unused_mut)]
                #visibility fn #name #generics (&self, #(mut #names: #types),*) -> ::core::option::Option<#returns> #bounds #body
            }
        }
    });
    let allowed = allowed_lints(&item.attrs);
    quote! {
        #[doc = #documentation]
        #[derive(Debug)]
        #visibility struct #handle(#root::BoundExports);

        #(#allowed)*
        impl #handle {
            #(#methods)*
        }

        // SAFETY: the handle binds its own interface and calls the functions of that interface only.
        unsafe impl #root::ExportsHandle for #handle {
            fn interfaces() -> ::std::vec::Vec<&'static #root::Interface> {
                #record
                ::std::vec![Self::__RELIB_INTERFACE]
            }

            fn bind(binder: &mut dyn #root::ExportBinder) -> Self {
                Self(binder.bind(Self::__RELIB_INTERFACE))
            }
        }
    }
}

fn imports_handle(
    item: &ItemTrait,
    handle: &Ident,
    name: &TokenStream,
    functions: &[Function],
    root: &TokenStream,
) -> TokenStream {
    let visibility = &item.vis;
    let documentation = format!("Calls the host's implementation of [`{}`] from a module.", item.ident);
    let count = functions.len();
    // A module that uses one interface of a crate would otherwise import all of them.
    let own = own_name(&item.ident);
    let record_section = link_section(SECTION, &own);
    let table_section = link_section(IMPORT_SECTION, &own);
    let slots_section = own_data_section(&own);
    let found_by = own_function_section(&own);
    let wrappers = functions.iter().enumerate().map(|(index, function)| {
        let attributes = &function.attributes;
        let ident = &function.name;
        let generics = &function.generics;
        // `generics` writes the parameters alone.
        let bounds = &generics.where_clause;
        let names = function.parameters.iter().map(|(name, _)| name);
        let types = function.parameters.iter().map(|(_, ty)| ty);
        let returns = &function.returns;
        let (_, static_returns) = static_types(function);
        let call = wire_call(function, quote!(__relib_entry.call), root);
        // Inline, so that it is compiled where it is called and nowhere else: linkers for PE keep every function that
        // they are given, because its unwind information refers to it, and so would keep the slots.
        quote! {
            #(#attributes)*
            #[allow(unused_mut)]
            #[inline]
            #[track_caller]
            #visibility fn #ident #generics (#(mut #names: #types),*) -> #returns #bounds {
                let __relib_entry = Self::__relib_slots().function(#index, #name, ::core::stringify!(#ident));
                let __relib_outcome = #call;
                // SAFETY: the outcome is that of the entry, whose return type is this.
                unsafe { #root::call_import::<#static_returns>(#name, ::core::stringify!(#ident), __relib_entry, __relib_outcome) }
            }
        }
    });
    let allowed = allowed_lints(&item.attrs);
    quote! {
        #[doc = #documentation]
        #[derive(Debug)]
        #visibility struct #handle(());

        #(#allowed)*
        impl #handle {
            #(#wrappers)*

            #[doc(hidden)]
            #found_by
            #visibility fn __relib_slots() -> &'static #root::ImportSlots<#count> {
                const __RELIB_PAYLOAD: &[u8] = #handle::__RELIB_INTERFACE.payload;
                const __RELIB_LEN: usize = #root::metadata::record_len(&[__RELIB_PAYLOAD]);
                #record_section
                static __RELIB_RECORD: [u8; __RELIB_LEN] =
                    #root::metadata::record::<__RELIB_LEN>(#root::metadata::RecordKind::Import, &[__RELIB_PAYLOAD]);
                #table_section
                static __RELIB_TABLE: #root::ImportTable = #root::ImportTable {
                    interface: #root::metadata::interface_id(__RELIB_PAYLOAD),
                    slots: __RELIB_SLOTS.as_ptr(),
                    len: #count,
                };
                #slots_section
                static __RELIB_SLOTS: #root::ImportSlots<#count> = #root::ImportSlots::new(&__RELIB_RECORD, &__RELIB_TABLE);
                &__RELIB_SLOTS
            }
        }
    }
}
