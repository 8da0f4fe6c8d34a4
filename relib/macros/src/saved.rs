//! `#[save_state]`, `#[restore_state]` and `#[migrate_state]`: state that a module hands over as bytes.

use proc_macro2::TokenStream;
use quote::quote;
use relib_abi::metadata::RecordKind;
use relib_abi::symbol;
use syn::spanned::Spanned;
use syn::{Error, FnArg, ItemFn, Result, ReturnType, Type, parse_quote, parse2};

use crate::export::{NamedExport, Thunk, unsupported};

const SAVE: NamedExport =
    NamedExport { name: "save_state", symbol: symbol::SAVE_STATE, kind: RecordKind::SaveState };
const RESTORE: NamedExport =
    NamedExport { name: "restore_state", symbol: symbol::RESTORE_STATE, kind: RecordKind::RestoreState };
const MIGRATE: NamedExport =
    NamedExport { name: "migrate_state", symbol: symbol::MIGRATE_STATE, kind: RecordKind::MigrateState };

pub fn expand_save(arguments: TokenStream, item: TokenStream, root: &TokenStream) -> Result<TokenStream> {
    let function = function(arguments, item, &SAVE, 0, "no parameters, and returns the state")?;
    let name = &function.sig.ident;
    let state = returns(&function);
    let thunk = Thunk {
        parameters: quote!(),
        returns: quote!(#root::Answer<#root::Saved>),
        body: quote!(#root::save::<#state>(#name())),
    };
    let export = SAVE.export(&thunk, &quote!(<#state as #root::Transfer>::TYPE), root);
    Ok(quote!(#function #export))
}

pub fn expand_restore(arguments: TokenStream, item: TokenStream, root: &TokenStream) -> Result<TokenStream> {
    let function = function(arguments, item, &RESTORE, 1, "one parameter, the state")?;
    let name = &function.sig.ident;
    let state = parameter(&function)?;
    let thunk = Thunk {
        parameters: quote!(bytes: <&'static [u8] as #root::Argument>::Wire),
        returns: quote!(#root::Answer<()>),
        body: quote!({
            // SAFETY: the host passes bytes that it keeps in place during the call.
            let bytes = unsafe { <&'static [u8] as #root::Argument>::accept(bytes) };
            #root::restore::<#state>(bytes).and_then(|state| #root::Takeover::refusal(#name(state)))
        }),
    };
    let export = RESTORE.export(&thunk, &quote!(<#state as #root::Transfer>::TYPE), root);
    Ok(quote!(#function #export))
}

pub fn expand_migrate(arguments: TokenStream, item: TokenStream, root: &TokenStream) -> Result<TokenStream> {
    let function = function(
        arguments,
        item,
        &MIGRATE,
        1,
        "one parameter, an `OldState`, and returns a `Result` of the state",
    )?;
    let name = &function.sig.ident;
    let result = returns(&function);
    let state = quote!(<#result as #root::Migration>::State);
    let thunk = Thunk {
        parameters: quote!(
            form: u64,
            description: <&'static str as #root::Argument>::Wire,
            bytes: <&'static [u8] as #root::Argument>::Wire,
        ),
        returns: quote!(#root::Answer<::std::vec::Vec<u8>>),
        body: quote!({
            // SAFETY: the host passes a text that it keeps in place during the call.
            let description = unsafe { <&'static str as #root::Argument>::accept(description) };
            // SAFETY: as for the text.
            let bytes = unsafe { <&'static [u8] as #root::Argument>::accept(bytes) };
            let state = #root::Migration::state(#name(#root::OldState::new(form, description, bytes)));
            state.and_then(#root::save::<#state>).map(|(_, bytes)| bytes)
        }),
    };
    let export = MIGRATE.export(&thunk, &quote!(<#state as #root::Transfer>::TYPE), root);
    Ok(quote!(#function #export))
}

/// Reads a function that takes so many parameters; `shape` says in words what it should be like.
fn function(
    arguments: TokenStream,
    item: TokenStream,
    export: &NamedExport,
    parameters: usize,
    shape: &str,
) -> Result<ItemFn> {
    let attribute = export.name;
    if !arguments.is_empty() {
        return Err(Error::new(arguments.span(), format!("`{attribute}` takes no arguments")));
    }
    let function: ItemFn = parse2(item)?;
    let wrong = (function.sig.inputs.len() != parameters).then(|| function.sig.inputs.span());
    match unsupported(&function.sig).or(wrong) {
        Some(span) => {
            Err(Error::new(span, format!("`{attribute}` is for a plain function that takes {shape}")))
        }
        None => Ok(function),
    }
}

fn returns(function: &ItemFn) -> Type {
    match &function.sig.output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, ty) => (**ty).clone(),
    }
}

fn parameter(function: &ItemFn) -> Result<&Type> {
    match function.sig.inputs.first() {
        Some(FnArg::Typed(typed)) => Ok(&typed.ty),
        _ => Err(Error::new(function.sig.inputs.span(), "the state is taken by value")),
    }
}
