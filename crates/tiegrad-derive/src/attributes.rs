//! What `#[module(…)]` says.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, Error, LitStr, Path, Result, parse_quote};

/// The attributes of the type.
pub(crate) struct Container {
    pub(crate) kind: Option<LitStr>,
    pub(crate) extra_repr: Option<Path>,
    pub(crate) display: bool,
    pub(crate) root: Path,
}

impl Container {
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut kind = None;
        let mut extra_repr = None;
        let mut root = None;
        let mut no_display = None;
        each(attributes, |meta| {
            if meta.path.is_ident("kind") {
                set(&mut kind, &meta, not_empty(meta.value()?.parse()?)?)
            } else if meta.path.is_ident("extra_repr") {
                set(&mut extra_repr, &meta, path(&meta)?)
            } else if meta.path.is_ident("crate") {
                set(&mut root, &meta, path(&meta)?)
            } else if meta.path.is_ident("no_display") {
                set(&mut no_display, &meta, ())
            } else {
                Err(meta.error(
                    "a type's #[module(..)] takes `kind`, `extra_repr`, `no_display` and `crate`",
                ))
            }
        })?;
        Ok(Self {
            kind,
            extra_repr,
            display: no_display.is_none(),
            root: root.unwrap_or_else(|| parse_quote!(::tiegrad::nn)),
        })
    }
}

/// The attributes of a field.
pub(crate) struct Field {
    pub(crate) skip: bool,
    pub(crate) name: Option<LitStr>,
    pub(crate) role: Option<LitStr>,
}

impl Field {
    pub(crate) fn parse(attributes: &[Attribute]) -> Result<Self> {
        let (mut skip, mut name, mut role) = (None, None, None);
        each(attributes, |meta| {
            if meta.path.is_ident("skip") {
                set(&mut skip, &meta, ())
            } else if meta.path.is_ident("name") {
                set(&mut name, &meta, not_empty(meta.value()?.parse()?)?)
            } else if meta.path.is_ident("role") {
                let value: LitStr = meta.value()?.parse()?;
                if !matches!(&*value.value(), "weight" | "bias" | "gain") {
                    return Err(Error::new(
                        value.span(),
                        "a role is \"weight\", \"bias\" or \"gain\"",
                    ));
                }
                set(&mut role, &meta, value)
            } else {
                Err(meta.error("a field's #[module(..)] takes `skip`, `name` and `role`"))
            }
        })?;
        if let (Some(()), Some(other)) = (skip, name.as_ref().or(role.as_ref())) {
            return Err(Error::new(
                other.span(),
                "a field that is skipped has no name and no role",
            ));
        }
        Ok(Self {
            skip: skip.is_some(),
            name,
            role,
        })
    }
}

/// Variants take no attributes.
pub(crate) fn refuse(attributes: &[Attribute]) -> Result<()> {
    each(attributes, |meta| {
        Err(meta.error("#[module(..)] belongs on the type or on a field"))
    })
}

fn each(
    attributes: &[Attribute],
    mut f: impl FnMut(ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("module"))
        .try_for_each(|attribute| attribute.parse_nested_meta(&mut f))
}

fn set<V>(slot: &mut Option<V>, meta: &ParseNestedMeta<'_>, value: V) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(meta.error("this is said twice")),
    }
}

fn path(meta: &ParseNestedMeta<'_>) -> Result<Path> {
    meta.value()?.parse::<LitStr>()?.parse()
}

fn not_empty(text: LitStr) -> Result<LitStr> {
    if text.value().is_empty() {
        return Err(Error::new(text.span(), "this may not be empty"));
    }
    Ok(text)
}
