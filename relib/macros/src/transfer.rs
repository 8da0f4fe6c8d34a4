//! `#[derive(Transfer)]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Field, Fields, GenericParam, Ident, Index, Member, Result, Type,
    parse_quote, parse2,
};

use crate::recursion;

pub fn expand(item: TokenStream, root: &TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = parse2(item)?;
    if let Some(lifetime) = input.generics.lifetimes().next() {
        return Err(Error::new(
            lifetime.span(),
            "a type that borrows cannot cross as a value: take it by reference, or own the data",
        ));
    }
    let name = &input.ident;
    let parts = match &input.data {
        Data::Struct(data) => of_struct(&input, &data.fields, root)?,
        Data::Enum(data) => of_enum(&input, data, root)?,
        Data::Union(data) => {
            return Err(Error::new(
                data.union_token.span(),
                "a union cannot cross: relib cannot know which of its fields to copy",
            ));
        }
    };
    let Parts { shape, types, copy, visit } = parts;
    let reaches = fields_of(&input.data)
        .map(|field| reaches_image(&input, field, root))
        .collect::<Result<Vec<TokenStream>>>()?;

    let mut generics = input.generics.clone();
    for parameter in &mut generics.params {
        if let GenericParam::Type(parameter) = parameter {
            parameter.bounds.push(parse_quote!(#root::Transfer));
        }
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    // As parameters of an implementation, which have no defaults.
    let declared = generics.params.iter().cloned().map(|mut parameter| {
        match &mut parameter {
            GenericParam::Type(parameter) => (parameter.eq_token, parameter.default) = (None, None),
            GenericParam::Const(parameter) => (parameter.eq_token, parameter.default) = (None, None),
            GenericParam::Lifetime(_) => {}
        }
        parameter
    });
    let bounds = where_clause.map(|clause| {
        let predicates = &clause.predicates;
        quote!(where #predicates)
    });
    let arguments = input.generics.params.iter().filter_map(|parameter| match parameter {
        GenericParam::Type(parameter) => {
            let ident = &parameter.ident;
            Some(quote!(<#ident as #root::Transfer>::TYPE))
        }
        GenericParam::Const(parameter) => {
            let ident = &parameter.ident;
            Some(quote!(const { &#root::Type::constant(#ident as u128) }))
        }
        GenericParam::Lifetime(_) => None,
    });
    let repr = representation(&input.attrs)?;
    let description = quote!(#root::Type::new(
        ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
        ::core::mem::size_of::<Self>(),
        ::core::mem::align_of::<Self>(),
        const { &[#(#arguments),*] },
        #shape,
    ).with_repr(#repr));
    Ok(quote! {
        // SAFETY: every field is `Transfer`; the description has each of them, with offsets where the layout is not
        // given by the compiler and the fields alone; the copy copies each field.
        unsafe impl #impl_generics #root::Transfer for #name #type_generics #where_clause {
            const TYPE: &'static #root::Type = const { &#description };
            const OWNS_MEMORY: bool = false #(|| <#types as #root::Transfer>::OWNS_MEMORY)*;
            const REACHES_IMAGE: bool = false #(|| #reaches)*;

            fn deep_copy(&self) -> Self {
                #copy
            }

            #[allow(unused_variables)]
            fn visit_memory(&self, visit: &mut dyn ::core::ops::FnMut(*const u8)) {
                #visit
            }
        }

        impl #impl_generics #root::MustNotImplementDrop for #name #type_generics #where_clause {}

        #root::cross_by_copy!([#(#declared),*] #name #type_generics #bounds);
    })
}

/// What a struct and an enum differ in.
struct Parts {
    /// The expression of type `Shape`.
    shape: TokenStream,
    /// The types of the fields that say whether a value owns memory.
    types: Vec<Type>,
    /// The body of `deep_copy`.
    copy: TokenStream,
    /// The body of `visit_memory`.
    visit: TokenStream,
}

fn of_struct(owner: &DeriveInput, fields: &Fields, root: &TokenStream) -> Result<Parts> {
    let mut descriptions = Vec::new();
    let mut copies = Vec::new();
    let mut visits = Vec::new();
    for (field, member) in fields.iter().zip(members(fields)) {
        let offset = quote!(::core::mem::offset_of!(Self, #member));
        descriptions.push(field_description(owner, field, &member, offset, root)?);
        copies.push(quote!(#member: #root::Transfer::deep_copy(&self.#member)));
        visits.push(quote!(#root::Transfer::visit_memory(&self.#member, visit);));
    }
    Ok(Parts {
        shape: quote!(#root::Shape::Struct(const { &[#(#descriptions),*] })),
        types: fields.iter().map(|field| field.ty.clone()).collect(),
        copy: quote!(Self { #(#copies),* }),
        visit: quote!(#(#visits)*),
    })
}

fn of_enum(owner: &DeriveInput, data: &syn::DataEnum, root: &TokenStream) -> Result<Parts> {
    let mut variants = Vec::new();
    let mut arms = Vec::new();
    let mut visiting_arms = Vec::new();
    let discriminants = discriminants(owner, data)?;
    for (variant, discriminant) in data.variants.iter().zip(discriminants) {
        let ident = &variant.ident;
        let text = ident.to_string();
        let mut descriptions = Vec::new();
        let mut bindings = Vec::new();
        let mut copies = Vec::new();
        let mut visits = Vec::new();
        for (index, (field, member)) in variant.fields.iter().zip(members(&variant.fields)).enumerate() {
            descriptions.push(field_description(
                owner,
                field,
                &member,
                quote!(#root::Field::NO_OFFSET),
                root,
            )?);
            let binding = format_ident!("field_{index}");
            bindings.push(quote!(#member: #binding));
            copies.push(quote!(#member: #root::Transfer::deep_copy(#binding)));
            visits.push(quote!(#root::Transfer::visit_memory(#binding, visit);));
        }
        variants.push(quote!(#root::Variant {
            name: #text,
            discriminant: #discriminant,
            fields: const { &[#(#descriptions),*] },
        }));
        arms.push(quote!(Self::#ident { #(#bindings),* } => Self::#ident { #(#copies),* }));
        visiting_arms.push(quote!(Self::#ident { #(#bindings),* } => { #(#visits)* }));
    }
    if arms.is_empty() {
        return Err(Error::new(
            owner.ident.span(),
            "an enum without variants has no values that could cross",
        ));
    }
    Ok(Parts {
        shape: quote!(#root::Shape::Enum(const { &[#(#variants),*] })),
        types: data
            .variants
            .iter()
            .flat_map(|variant| &variant.fields)
            .map(|field| field.ty.clone())
            .collect(),
        copy: quote!(match self { #(#arms),* }),
        visit: quote!(match self { #(#visiting_arms),* }),
    })
}

/// The values that tell the variants apart, as expressions of the type `i128`: what is given to a variant, or one more than
/// the one before has.
fn discriminants(owner: &DeriveInput, data: &syn::DataEnum) -> Result<Vec<TokenStream>> {
    let ty = discriminant_type(&owner.attrs)?;
    let mut given = quote!(0i128);
    let mut behind: i128 = 0;
    let values = data.variants.iter().map(|variant| {
        if let Some((_, expression)) = &variant.discriminant {
            given = quote!({
                let discriminant: #ty = #expression;
                discriminant as i128
            });
            behind = 0;
        }
        let value = quote!(#given + #behind);
        behind += 1;
        value
    });
    Ok(values.collect())
}

/// The type of an enum's discriminants: the integer of its `#[repr(...)]`, or `isize`.
fn discriminant_type(attributes: &[Attribute]) -> Result<Ident> {
    let representation = representation(attributes)?;
    let words = representation.split(|letter: char| !letter.is_alphanumeric());
    let is_integer = |word: &&str| {
        let width = word.strip_prefix(['u', 'i']).unwrap_or_default();
        ["8", "16", "32", "64", "128", "size"].contains(&width)
    };
    Ok(format_ident!("{}", words.into_iter().find(is_integer).unwrap_or("isize")))
}

fn members(fields: &Fields) -> Vec<Member> {
    fields
        .iter()
        .enumerate()
        .map(|(index, field)| match &field.ident {
            Some(ident) => Member::Named(ident.clone()),
            None => Member::Unnamed(Index::from(index)),
        })
        .collect()
}

fn field_description(
    owner: &DeriveInput,
    field: &Field,
    member: &Member,
    offset: TokenStream,
    root: &TokenStream,
) -> Result<TokenStream> {
    let text = match member {
        Member::Named(ident) => ident.to_string(),
        Member::Unnamed(index) => index.index.to_string(),
    };
    let ty = &field.ty;
    let description = if is_marked_recursive(field)? {
        // The full description of the field's type would contain itself: its name and layout have to do.
        let written = quote!(#ty).to_string();
        quote!(const { &#root::Type::opaque::<#ty>(#written, &[]) })
    } else {
        let ty = recursion::cut(ty, owner, root)?;
        quote!(<#ty as #root::Transfer>::TYPE)
    };
    Ok(quote!(#root::Field { name: #text, offset: #offset, ty: #description }))
}

fn fields_of(data: &Data) -> Box<dyn Iterator<Item = &Field> + '_> {
    match data {
        Data::Struct(data) => Box::new(data.fields.iter()),
        Data::Enum(data) => Box::new(data.variants.iter().flat_map(|variant| &variant.fields)),
        Data::Union(data) => Box::new(data.fields.named.iter()),
    }
}

/// Whether a value of the field can refer to the image, as an expression.
fn reaches_image(owner: &DeriveInput, field: &Field, root: &TokenStream) -> Result<TokenStream> {
    if is_marked_recursive(field)? {
        // The way back to this type leads through others, which cannot be asked without asking this one.
        return Ok(quote!(true));
    }
    // What is around the type itself has to be asked; the type inside adds nothing.
    let ty = recursion::cut(&field.ty, owner, root)?;
    Ok(quote!(<#ty as #root::Transfer>::REACHES_IMAGE))
}

fn is_marked_recursive(field: &Field) -> Result<bool> {
    let mut marked = false;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("transfer")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("unsafe") {
                return Err(meta.error("expected `unsafe(recursive)`"));
            }
            meta.parse_nested_meta(|meta| {
                marked = meta.path.is_ident("recursive");
                if marked { Ok(()) } else { Err(meta.error("expected `recursive`")) }
            })
        })?;
    }
    Ok(marked)
}

/// What `#[repr(...)]` says, which decides about the layout without being visible in the fields.
fn representation(attributes: &[Attribute]) -> Result<String> {
    let lists = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("repr"))
        .map(|attribute| Ok(attribute.meta.require_list()?.tokens.to_string()));
    Ok(lists.collect::<Result<Vec<String>>>()?.join(", "))
}
