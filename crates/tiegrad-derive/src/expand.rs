//! From the description of a type to its `impl Module`.

use std::collections::BTreeSet;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Data, DeriveInput, Error, Fields, GenericParam, Generics, Ident, Member, Path, Result, Type,
    parse_quote, parse_quote_spanned,
};

use crate::attributes::{self, Container};

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let container = Container::parse(&input.attrs)?;
    let root = &container.root;
    let variants = variants(input, root)?;
    let visited: Vec<&Type> = variants
        .iter()
        .flat_map(|variant| variant.visited.iter().copied())
        .collect();
    let generics = bounded(&input.generics, &visited, root)?;
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();

    let name = &input.ident;
    let kind = match &container.kind {
        Some(kind) => kind.value(),
        None => plain(name),
    };
    let visit = body(&variants, |variant| &variant.visit);
    let visit_mut = body(&variants, |variant| &variant.visit_mut);
    let extra_repr = container.extra_repr.as_ref().map(|path| {
        quote_spanned! {path.span()=>
            fn extra_repr(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                #path(self, f)
            }
        }
    });
    let display = container.display.then(|| {
        quote! {
            #[automatically_derived]
            impl #impl_generics ::core::fmt::Display for #name #type_generics #where_clause {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    #root::fmt_module(self, f)
                }
            }
        }
    });

    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #root::Module for #name #type_generics #where_clause {
            fn kind(&self) -> &str {
                #kind
            }
            fn visit<'__a>(&'__a self, __v: &mut dyn #root::Visit<'__a>) {
                let _ = &__v;
                #visit
            }
            fn visit_mut(&mut self, __v: &mut dyn #root::VisitMut) {
                let _ = &__v;
                #visit_mut
            }
            #extra_repr
        }
        #display
    })
}

/// A struct, or one variant of an enum.
struct Variant<'i> {
    pattern: TokenStream,
    visit: TokenStream,
    visit_mut: TokenStream,
    visited: Vec<&'i Type>,
}

fn variants<'i>(input: &'i DeriveInput, root: &Path) -> Result<Vec<Variant<'i>>> {
    match &input.data {
        Data::Struct(data) => Ok(vec![variant(quote!(Self), &data.fields, root)?]),
        Data::Enum(data) => data
            .variants
            .iter()
            .map(|each| {
                attributes::refuse(&each.attrs)?;
                let name = &each.ident;
                variant(quote!(Self::#name), &each.fields, root)
            })
            .collect(),
        Data::Union(data) => Err(Error::new(
            data.union_token.span,
            "a union cannot be a module: use a struct or an enum",
        )),
    }
}

fn variant<'i>(path: TokenStream, fields: &'i Fields, root: &Path) -> Result<Variant<'i>> {
    let (mut bindings, mut visit, mut visit_mut) =
        (TokenStream::new(), TokenStream::new(), TokenStream::new());
    let mut visited = Vec::new();
    let mut names = BTreeSet::new();
    for (index, (member, field)) in fields.members().zip(fields).enumerate() {
        let said = attributes::Field::parse(&field.attrs)?;
        if said.skip {
            continue;
        }
        let (text, span) = match (&said.name, &member) {
            (Some(name), _) => (name.value(), name.span()),
            (None, Member::Named(ident)) => (plain(ident), ident.span()),
            (None, Member::Unnamed(index)) => (index.index.to_string(), field.ty.span()),
        };
        if !names.insert(text.clone()) {
            return Err(Error::new(
                span,
                format!("two fields have the name {text:?}"),
            ));
        }
        let name = match (&said.name, &member) {
            (None, Member::Unnamed(index)) => quote!(#root::Name::Index(#index)),
            _ => quote!(#root::Name::Field(#text)),
        };
        // The place of the type: what is wrong with a field is reported at the field.
        let span = field.ty.span().resolved_at(Span::call_site());
        let binding = format_ident!("__field{index}", span = span);
        bindings.extend(quote!(#member: #binding,));
        let root = respanned(root, span);
        visit.extend(match role(said.role.as_ref(), &root) {
            None => quote_spanned!(span=> #root::Field::enter(#binding, #name, __v);),
            Some(role) => {
                quote_spanned!(span=> #root::Field::enter(#binding, #name, &mut #root::WithRole::new(__v, #role));)
            }
        });
        visit_mut.extend(quote_spanned!(span=> #root::Field::enter_mut(#binding, #name, __v);));
        visited.push(&field.ty);
    }
    Ok(Variant {
        pattern: quote!(#path { #bindings .. }),
        visit,
        visit_mut,
        visited,
    })
}

fn role(said: Option<&syn::LitStr>, root: &TokenStream) -> Option<TokenStream> {
    Some(match &*said?.value() {
        "bias" => quote!(#root::Role::Bias),
        "gain" => quote!(#root::Role::Gain),
        _ => quote!(#root::Role::Weight),
    })
}

/// The path, as if it stood at another place.
fn respanned(path: &Path, span: Span) -> TokenStream {
    let at = |mut token: TokenTree| {
        token.set_span(span);
        token
    };
    path.to_token_stream().into_iter().map(at).collect()
}

fn body<'v>(
    variants: &'v [Variant<'_>],
    statements: impl Fn(&'v Variant<'_>) -> &'v TokenStream,
) -> TokenStream {
    if variants.is_empty() {
        return quote!(match *self {});
    }
    let arms = variants.iter().map(|variant| {
        let (pattern, statements) = (&variant.pattern, statements(variant));
        quote!(#pattern => { #statements })
    });
    quote!(match self { #(#arms)* })
}

/// The type's generics, with every parameter `'static` and those that visited fields mention bound to be fields.
fn bounded(generics: &Generics, visited: &[&Type], root: &Path) -> Result<Generics> {
    let mut generics = generics.clone();
    let mentioned: BTreeSet<String> = visited
        .iter()
        .flat_map(|ty| idents(ty.to_token_stream()))
        .collect();
    for parameter in &mut generics.params {
        match parameter {
            GenericParam::Lifetime(lifetime) => {
                let message =
                    "a module owns what it holds ('static): it cannot have a lifetime parameter";
                return Err(Error::new(lifetime.lifetime.span(), message));
            }
            GenericParam::Type(ty) => {
                let span = Span::call_site();
                ty.bounds.push(parse_quote!('static));
                if mentioned.contains(&ty.ident.to_string()) {
                    ty.bounds.push(parse_quote_spanned!(span=> #root::Field));
                }
            }
            GenericParam::Const(_) => {}
        }
    }
    Ok(generics)
}

fn idents(tokens: TokenStream) -> Vec<String> {
    tokens
        .into_iter()
        .flat_map(|tree| match tree {
            TokenTree::Ident(ident) => vec![ident.to_string()],
            TokenTree::Group(group) => idents(group.stream()),
            _ => Vec::new(),
        })
        .collect()
}

/// The identifier without `r#`.
fn plain(ident: &Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map_or(text.clone(), str::to_owned)
}
