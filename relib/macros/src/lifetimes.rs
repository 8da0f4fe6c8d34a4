//! Finding and replacing lifetimes.

use proc_macro2::Span;
use syn::visit::Visit;
use syn::visit_mut::VisitMut;
use syn::{Lifetime, Signature, Type, TypeReference};

struct Replace<'a>(&'a str);

impl VisitMut for Replace<'_> {
    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        *lifetime = Lifetime::new(self.0, lifetime.span());
    }

    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        reference.lifetime = Some(Lifetime::new(self.0, Span::call_site()));
        self.visit_type_mut(&mut reference.elem);
    }
}

/// `ty` with every lifetime in it, written or left out, replaced by `lifetime`.
pub fn replace(ty: &Type, lifetime: &str) -> Type {
    let mut ty = ty.clone();
    Replace(lifetime).visit_type_mut(&mut ty);
    ty
}

struct Find(bool);

impl Visit<'_> for Find {
    fn visit_lifetime(&mut self, _: &Lifetime) {
        self.0 = true;
    }

    fn visit_type_reference(&mut self, _: &TypeReference) {
        self.0 = true;
    }
}

struct FindStatic(Option<Span>);

impl Visit<'_> for FindStatic {
    fn visit_lifetime(&mut self, lifetime: &Lifetime) {
        if lifetime.ident == "static" {
            self.0 = Some(lifetime.span());
        }
    }
}

/// Where `'static` is written in what a function takes.
pub fn static_in_parameters(signature: &Signature) -> Option<Span> {
    let mut find = FindStatic(None);
    find.visit_generics(&signature.generics);
    signature.inputs.iter().for_each(|input| find.visit_fn_arg(input));
    find.0
}

/// Whether a lifetime is written in the type, or left out of a reference.
pub fn occur_in(ty: &Type) -> bool {
    let mut find = Find(false);
    find.visit_type(ty);
    find.0
}
