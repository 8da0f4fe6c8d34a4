//! Reading the functions of an interface.

use syn::spanned::Spanned;
use syn::{
    Attribute, Error, FnArg, GenericParam, Generics, Ident, Meta, Pat, PatType, Receiver, Result, ReturnType,
    TraitItemFn, Type, parse_quote,
};

use crate::lifetimes;

/// A function of an interface, known to be one that relib supports.
pub struct Function {
    /// The `#[doc]` and other attributes of the function.
    pub attributes: Vec<Attribute>,
    pub name: Ident,
    pub generics: Generics,
    pub parameters: Vec<(Ident, Type)>,
    pub returns: Type,
}

impl Function {
    pub fn from_trait_item(item: &TraitItemFn) -> Result<Self> {
        let signature = &item.sig;
        refuse_conditions(&item.attrs)?;
        for argument in &signature.inputs {
            let (FnArg::Receiver(Receiver { attrs, .. }) | FnArg::Typed(PatType { attrs, .. })) = argument;
            refuse_conditions(attrs)?;
        }
        if let Some(asyncness) = &signature.asyncness {
            return Err(Error::new(
                asyncness.span(),
                "a function of an interface cannot be async: a future is code and \
                 state of one image; return a value, or take the work to a thread of the host",
            ));
        }
        if let Some(unsafety) = &signature.unsafety {
            return Err(Error::new(
                unsafety.span(),
                "functions of an interface are safe to call and cannot be `unsafe`",
            ));
        }
        if let Some(abi) = &signature.abi {
            return Err(Error::new(abi.span(), "relib chooses the calling convention: remove `extern`"));
        }
        for parameter in &signature.generics.params {
            if !matches!(parameter, GenericParam::Lifetime(_)) {
                return Err(Error::new(
                    parameter.span(),
                    "a function of an interface cannot be generic: the other side was compiled without knowing the types",
                ));
            }
        }
        if let Some(span) = lifetimes::static_in_parameters(signature) {
            return Err(Error::new(
                span,
                "a parameter cannot be `'static`: what it refers to is lent for the call, and may lie in a module that \
                 is unloaded later",
            ));
        }
        let parameters = signature.inputs.iter().map(parameter).collect::<Result<_>>()?;
        let returns = match &signature.output {
            ReturnType::Default => parse_quote!(()),
            ReturnType::Type(_, ty) => (**ty).clone(),
        };
        if let Type::ImplTrait(ty) = &returns {
            return Err(Error::new(ty.span(), "a function of an interface must return a named type"));
        }
        Ok(Self {
            attributes: for_callers(&item.attrs),
            name: signature.ident.clone(),
            generics: signature.generics.clone(),
            parameters,
            returns,
        })
    }
}

/// Refuses attributes that could make a function or a parameter disappear after this macro has described it.
fn refuse_conditions(attributes: &[Attribute]) -> Result<()> {
    match attributes
        .iter()
        .find(|attribute| attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr"))
    {
        Some(condition) => Err(Error::new(
            condition.span(),
            "the functions of an interface cannot depend on conditions: both sides must see the same ones; put them into \
             an interface of their own and the condition on that",
        )),
        None => Ok(()),
    }
}

/// The attributes that the function has for its callers too.
fn for_callers(attributes: &[Attribute]) -> Vec<Attribute> {
    let own = attributes.iter().filter(|attribute| {
        ["doc", "deprecated", "must_use"].iter().any(|name| attribute.path().is_ident(name))
    });
    own.cloned().chain(allowed_lints(attributes)).collect()
}

/// The lints that are allowed for an item, for what is generated beside it. What it expects may be met in one of them only, so
/// that elsewhere it is allowed.
pub fn allowed_lints(attributes: &[Attribute]) -> impl Iterator<Item = Attribute> {
    attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("allow") || list.path.is_ident("expect") => {
            let lints = &list.tokens;
            Some(parse_quote!(#[allow(#lints)]))
        }
        _ => None,
    })
}

fn parameter(argument: &FnArg) -> Result<(Ident, Type)> {
    match argument {
        FnArg::Receiver(receiver) => Err(Error::new(
            receiver.span(),
            "functions of an interface take no `self`: keep the module's state in a static, or pass it as `&mut State`",
        )),
        FnArg::Typed(typed) => match (&*typed.pat, &*typed.ty) {
            (_, Type::ImplTrait(ty)) => {
                Err(Error::new(ty.span(), "a parameter of an interface function must have a named type"))
            }
            (Pat::Ident(pattern), ty) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {
                Ok((pattern.ident.clone(), ty.clone()))
            }
            (pattern, _) => {
                Err(Error::new(pattern.span(), "a parameter of an interface function must be a plain name"))
            }
        },
    }
}
