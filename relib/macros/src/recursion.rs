//! Fields that lead back to the type that they are part of.
//!
//! A description of such a field would contain itself. So the type is replaced in it by a placeholder, and everything
//! around it is described as ever.

use proc_macro2::TokenStream;
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{
    DeriveInput, Error, GenericArgument, GenericParam, Path, PathArguments, Result, Type, TypePath,
    parse_quote,
};

/// The type of a field of `owner`, with a placeholder wherever `owner` itself is named: by `Self`, or by its plain name.
///
/// A longer path is another type, or a recursion that the compiler finds.
pub fn cut(ty: &Type, owner: &DeriveInput, root: &TokenStream) -> Result<Type> {
    let mut cut = Cut { owner, root, error: None };
    let mut ty = ty.clone();
    cut.visit_type_mut(&mut ty);
    match cut.error {
        Some(error) => Err(error),
        None => Ok(ty),
    }
}

struct Cut<'a> {
    owner: &'a DeriveInput,
    root: &'a TokenStream,
    error: Option<Error>,
}

impl VisitMut for Cut<'_> {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        visit_mut::visit_type_mut(self, ty);
        if let Type::Path(TypePath { qself: None, path }) = ty
            && path.leading_colon.is_none()
            && path.segments.len() == 1
            && (path.segments[0].ident == "Self" || path.segments[0].ident == self.owner.ident)
        {
            let arguments = self.types_in(path);
            let root = self.root;
            *ty = parse_quote!(#root::Recursion<(#(#arguments,)*)>);
        }
    }
}

impl Cut<'_> {
    /// The types that the type itself is given as arguments, which may be others than its own.
    fn types_in(&mut self, path: &Path) -> Vec<Type> {
        let PathArguments::AngleBracketed(list) = &path.segments[0].arguments else { return Vec::new() };
        let mut types = Vec::new();
        for (place, argument) in list.args.iter().enumerate() {
            match argument {
                GenericArgument::Type(ty) if self.is_own_constant(ty, place) => {}
                GenericArgument::Type(ty) => types.push(ty.clone()),
                other => {
                    self.error = Some(Error::new(
                        other.span(),
                        "a recursive type can be described with its own constants only, each in its own place: name the \
                         parameter there, or mark the field #[transfer(unsafe(recursive))] if you know that both sides have \
                         the same definition",
                    ));
                }
            }
        }
        types
    }

    /// Whether this is the constant that the type itself has as its parameter in this place.
    fn is_own_constant(&self, ty: &Type, place: usize) -> bool {
        let Type::Path(TypePath { qself: None, path }) = ty else { return false };
        // Lifetimes come first, and a type with some does not cross.
        match self.owner.generics.params.iter().nth(place) {
            Some(GenericParam::Const(parameter)) => path.is_ident(&parameter.ident),
            _ => false,
        }
    }
}
