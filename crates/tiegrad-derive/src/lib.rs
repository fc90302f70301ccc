//! `#[derive(Module)]` for tiegrad: a struct or enum of layers becomes a node of the module tree.
//!
//! Fields are visited in the order in which they are declared, under their own names; a tuple's fields under `0`, `1`, … Fields of
//! plain data (numbers, `bool`, strings) take no part. An enum is whatever its present variant is.
//!
//! | on the type | |
//! |---|---|
//! | `#[module(kind = "Mlp")]` | the type name that prints show, instead of the Rust name |
//! | `#[module(extra_repr = "path")]` | `path(&self, f)` writes what stands in the parentheses of the print |
//! | `#[module(no_display)]` | no `impl Display` (there is one otherwise, in PyTorch's layout) |
//! | `#[module(crate = "path")]` | where the items of tiegrad's `nn` are found, instead of `::tiegrad::nn` |
//!
//! | on a field | |
//! |---|---|
//! | `#[module(skip)]` | the field is no part of the tree |
//! | `#[module(name = "block 0")]` | the name in paths, instead of the field's |
//! | `#[module(role = "gain")]` | how whole-net initializers treat the parameters: `weight`, `bias` or `gain` |
//!
//! The names, prints, checkpoints and everything else that walks the tree follow from this one description.

mod attributes;
mod expand;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a type a node of the module tree; see the [crate's page](crate) for the attributes.
#[proc_macro_derive(Module, attributes(module))]
pub fn derive_module(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::expand(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
