//! Finding and replacing lifetimes.

use std::fmt::Write as _;

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::visit_mut::VisitMut;
use syn::{GenericParam, Generics, Lifetime, Signature, Type, TypeReference, WherePredicate};

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

/// The lifetimes of what a function takes and returns, with numbers in the place of names, in the order in which they are
/// met: `(&'0, &'1) -> &'0 where '0: '1`. Empty if it returns no reference.
pub fn normal_form(generics: &Generics, parameters: &[&Type], returns: &Type) -> String {
    if !occur_in(returns) {
        return String::new();
    }
    let mut numbers = Numbers::default();
    let taken: Vec<String> = parameters.iter().map(|ty| numbers.written(ty)).collect();
    // What is left out of the return type is the only lifetime that there is, or else the compiler refuses the function.
    numbers.left_out = (numbers.next == 1).then_some(0);
    let returned = numbers.written(returns);
    let mut form = format!("({}) -> {returned}", taken.join(", "));
    let mut bounds: Vec<String> = Vec::new();
    let mut bound = |longer: &Lifetime, shorter: &Lifetime| {
        let [longer, shorter] = [longer, shorter].map(|lifetime| numbers.of(Some(lifetime)));
        bounds.push(format!("{longer}: {shorter}"));
    };
    for parameter in &generics.params {
        if let GenericParam::Lifetime(parameter) = parameter {
            parameter.bounds.iter().for_each(|shorter| bound(&parameter.lifetime, shorter));
        }
    }
    for predicate in generics.where_clause.iter().flat_map(|clause| &clause.predicates) {
        if let WherePredicate::Lifetime(predicate) = predicate {
            predicate.bounds.iter().for_each(|shorter| bound(&predicate.lifetime, shorter));
        }
    }
    bounds.sort();
    bounds.dedup();
    for (index, bound) in bounds.iter().enumerate() {
        let separator = if index == 0 { " where " } else { ", " };
        write!(form, "{separator}{bound}").expect("text can be written to a text");
    }
    form
}

/// The numbers of lifetimes, in the order in which they are met.
#[derive(Default)]
struct Numbers {
    named: Vec<(String, usize)>,
    next: usize,
    /// The number that a lifetime has that is left out; a new one each time if there is none.
    left_out: Option<usize>,
    /// What has been written of one type.
    text: String,
}

impl Numbers {
    /// The lifetimes of a type, one after the other.
    fn written(&mut self, ty: &Type) -> String {
        self.text.clear();
        self.visit_type(ty);
        std::mem::take(&mut self.text)
    }

    fn of(&mut self, lifetime: Option<&Lifetime>) -> String {
        let name = lifetime.map(|lifetime| lifetime.ident.to_string()).filter(|name| name != "_");
        let known = match &name {
            Some(name) if name == "static" => return "'static".to_owned(),
            Some(name) => self.named.iter().find(|(known, _)| known == name).map(|(_, number)| *number),
            None => self.left_out,
        };
        let number = known.unwrap_or_else(|| {
            self.next += 1;
            self.named.extend(name.map(|name| (name, self.next - 1)));
            self.next - 1
        });
        format!("'{number}")
    }

    fn push(&mut self, what: &str, lifetime: Option<&Lifetime>) {
        let lifetime = self.of(lifetime);
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(what);
        self.text.push_str(&lifetime);
    }
}

impl Visit<'_> for Numbers {
    fn visit_type_reference(&mut self, reference: &TypeReference) {
        self.push("&", reference.lifetime.as_ref());
        visit::visit_type(self, &reference.elem);
    }

    fn visit_lifetime(&mut self, lifetime: &Lifetime) {
        self.push("", Some(lifetime));
    }
}

#[cfg(test)]
mod tests {
    use syn::{FnArg, ReturnType, TraitItemFn};

    use super::*;

    fn form(function: &str) -> String {
        let function: TraitItemFn = syn::parse_str(function).unwrap();
        let types: Vec<&Type> = function
            .sig
            .inputs
            .iter()
            .map(|input| match input {
                FnArg::Typed(typed) => &*typed.ty,
                FnArg::Receiver(_) => panic!("there is no receiver"),
            })
            .collect();
        let ReturnType::Type(_, returns) = &function.sig.output else { return String::new() };
        normal_form(&function.sig.generics, &types, returns)
    }

    #[test]
    fn lifetimes_count_by_where_they_are_and_not_by_their_names() {
        assert_eq!(form("fn f(text: &str) -> u64;"), "");
        let same = [
            "fn f(text: &str) -> &str;",
            "fn f<'a>(text: &'a str) -> &'a str;",
            "fn f<'other>(text: &'other str) -> &str;",
            "fn f(text: &'_ str) -> &'_ str;",
        ];
        assert!(same.iter().all(|function| form(function) == "(&'0) -> &'0"), "{:?}", same.map(form));
        assert_eq!(form("fn f(text: &str) -> &'static str;"), "(&'0) -> &'static");
        assert_eq!(form("fn f<'a>(text: &str) -> &'a str;"), "(&'0) -> &'1");
        assert_eq!(form("fn f<'a>(x: &'a str, y: &str) -> &'a str;"), "(&'0, &'1) -> &'0");
        assert_eq!(form("fn f<'a>(x: &str, y: &'a str) -> &'a str;"), "(&'0, &'1) -> &'1");
        assert_eq!(form("fn f<'a>(x: &'a str, y: &'a str) -> &'a str;"), "(&'0, &'0) -> &'0");
        let bounded = "(&'0, &'1) -> &'1 where '0: '1";
        assert_eq!(form("fn f<'a, 'b>(x: &'a str, y: &'b str) -> &'b str where 'a: 'b;"), bounded);
        assert_eq!(form("fn f<'b, 'a: 'b>(x: &'a str, y: &'b str) -> &'b str;"), bounded);
        assert_eq!(form("fn f<'a>(x: u8, y: State<'a, u8>) -> &'a u8;"), "(, '0) -> &'0");
    }
}
