//! The list of selected parameters: what a training program logs.

use std::fmt;

use tiegrad_arena::{ParamId, Params, Selection, Shape};
use tiegrad_kernels::Scalar;

use super::module::Module;
use super::text::{PyTuple, Table};
use super::uses::{Use, uses_of};

/// What [`ModuleExt::list`](crate::ModuleExt::list) returns: the selected parameters, each once, with shape, type and all of its paths.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let encoder = Linear::new(&mut params, 6, 3, &mut rng);
/// let decoder = TiedLinear::new(&mut params, Tied::transposed(encoder.weight), true)?;
/// let net = (encoder, decoder);
/// net.freeze(&mut params, "0.bias")?;
/// assert_eq!(net.list(&params, Select::all())?.to_string(), "\
/// 0.weight  (3, 6)  float32  ↔ 1.weightᵀ
/// 0.bias    (3,)    float32  frozen
/// 1.bias    (6,)    float32");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listing {
    /// The parameters, in tree order.
    pub rows: Vec<ListRow>,
}

/// A parameter in a [`Listing`].
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU);
/// let row = &net.list(&params, ".*weight")?.rows[0];
/// assert_eq!((row.path.as_str(), row.dtype, row.requires_grad), ("0.weight", "float32", true));
/// assert_eq!((row.id, row.shape), (net.0.weight, Shape::new(&[8, 4])?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListRow {
    /// Its first path.
    pub path: String,
    /// Its other paths, each with whether that use takes it the other way round than the first does.
    pub aliases: Vec<(String, bool)>,
    /// Which parameter.
    pub id: ParamId,
    /// Its shape.
    pub shape: Shape,
    /// The type of its values, as PyTorch calls it.
    pub dtype: &'static str,
    /// Whether training changes it.
    pub requires_grad: bool,
}

impl Listing {
    /// The list of those of a set that both the net and the arena have.
    pub(crate) fn new<T: Scalar>(root: &dyn Module, params: &Params<T>, ids: &Selection) -> Self {
        let uses = uses_of(root, ids);
        let mut rows = Vec::new();
        for (each, aliases) in with_aliases(&uses) {
            let Ok(info) = params.info(each.id) else {
                continue;
            };
            let aliases = aliases.into_iter();
            rows.push(ListRow {
                path: each.path.clone(),
                aliases: aliases
                    .map(|alias| (alias.path.clone(), alias.transposed != each.transposed))
                    .collect(),
                id: each.id,
                shape: info.shape,
                dtype: T::DTYPE.name(),
                requires_grad: info.requires_grad,
            });
        }
        Self { rows }
    }
}

/// The first use of each parameter, with the others.
pub(crate) fn with_aliases(uses: &[Use]) -> Vec<(&Use, Vec<&Use>)> {
    let mut firsts: Vec<(&Use, Vec<&Use>)> = Vec::new();
    // Where in `firsts` the use of each position is.
    let mut at = vec![0; uses.len()];
    for (position, each) in uses.iter().enumerate() {
        match each.alias_of {
            None => {
                at[position] = firsts.len();
                firsts.push((each, Vec::new()));
            }
            Some(first) => firsts[at[first]].1.push(each),
        }
    }
    firsts
}

/// `↔ 1.weightᵀ, 2.weight`
pub(crate) fn aliases(paths: &[(String, bool)]) -> String {
    let mut text = String::new();
    for (path, transposed) in paths {
        text.push_str(if text.is_empty() { "↔ " } else { ", " });
        text.push_str(path);
        text.push_str(if *transposed { "ᵀ" } else { "" });
    }
    text
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows.iter().map(|row| {
            let mut notes = aliases(&row.aliases);
            if !row.requires_grad {
                notes.push_str(if notes.is_empty() {
                    "frozen"
                } else {
                    "  frozen"
                });
            }
            let shape = PyTuple(&row.shape).to_string();
            [row.path.clone(), shape, row.dtype.to_owned(), notes]
        });
        let rows = rows.collect();
        let numbers = [false; 4];
        fmt::Display::fmt(&Table { rows, numbers }, f)
    }
}
