//! Replacing the lifetimes in a type.

use proc_macro2::Span;
use syn::visit::Visit;
use syn::visit_mut::VisitMut;
use syn::{Lifetime, Type, TypeReference};

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

/// Whether a lifetime is written in the type, or left out of a reference.
pub fn occur_in(ty: &Type) -> bool {
    let mut find = Find(false);
    find.visit_type(ty);
    find.0
}
