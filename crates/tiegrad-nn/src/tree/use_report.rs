//! What each use of a parameter contributed to its gradient, by the paths of the uses.

use std::collections::HashMap;
use std::fmt;
use std::panic::Location;

use tiegrad_arena::ParamId;
use tiegrad_autodiff::{Contribution, UseGrads};
use tiegrad_kernels::Scalar;

use super::module::{Module, ParamUse};
use super::uses::{IdMap, Use, all_uses};
use super::walk::{At, Walker, walk};

/// What [`ModuleExt::use_report`](crate::ModuleExt::use_report) returns: for each parameter, what its uses contributed to its gradient in the last recording.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f64>::new(), tiegrad_nn::doc_rng());
/// let shared = Linear::new(&mut params, 3, 3, &mut rng);
/// let net = (shared.clone(), Tanh, shared, Linear::new(&mut params, 3, 1, &mut rng));
/// let (mut tape, mut uses) = (Tape::new(), UseGrads::new());
/// let g = tape.record(&mut params).per_use(&mut uses);
/// net.forward(g.full([2, 3], 0.5)).sum().backward()?;
///
/// let report = net.use_report(&uses);
/// let shared = &report.parameters[0];
/// assert_eq!((shared.path.as_str(), shared.uses.len()), ("0.weight", 2));
/// assert_eq!((shared.uses[0].path.as_str(), shared.uses[1].path.as_str()), ("0.weight", "2.weight")); // in the order of the forward pass
/// let sum = shared.uses.iter().map(|each| each.norm * each.norm).sum::<f64>()
///     + 2.0 * shared.cosine(0, 1).unwrap_or(0.0) * shared.uses[0].norm * shared.uses[1].norm;
/// assert!((sum.sqrt() - shared.norm).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UseReport {
    /// The parameters with a contribution, in tree order; those that are not in the tree come last, with their id as path.
    pub parameters: Vec<UsedParameter>,
}

/// A parameter in a [`UseReport`].
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f64>::new(), tiegrad_nn::doc_rng());
/// let net = (Linear::new(&mut params, 3, 1, &mut rng),);
/// let (mut tape, mut uses) = (Tape::new(), UseGrads::new());
/// let g = tape.record(&mut params).per_use(&mut uses);
/// net.forward(g.full([2, 3], 0.5)).sum().backward()?;
/// let report = net.use_report(&uses);
/// assert_eq!(report.parameters[1].path, "0.bias");
/// assert_eq!(report.parameters[1].norm, 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UsedParameter {
    /// Its canonical path.
    pub path: String,
    /// Which parameter.
    pub id: ParamId,
    /// Its uses, in the order of the forward pass.
    pub uses: Vec<OneUse>,
    /// The Euclidean norm of the sum of the contributions: of the gradient.
    pub norm: f64,
    /// Between each two uses, row by row.
    cosines: Vec<Option<f64>>,
}

impl UsedParameter {
    /// The cosine of the angle between the contributions of two uses, by their positions in [`uses`](UsedParameter::uses): 1 where they pull the same way, -1 where they pull against each
    /// other. `None` where one is zero, or a position is out of range.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f64>::new(), tiegrad_nn::doc_rng());
    /// let layer = Linear::new(&mut params, 3, 1, &mut rng);
    /// let (mut tape, mut uses) = (Tape::new(), UseGrads::new());
    /// let g = tape.record(&mut params).per_use(&mut uses);
    /// let x = g.full([2, 3], 0.5);
    /// (layer.forward(x) - layer.forward(x) * 2.0).sum().backward()?;
    /// let report = layer.use_report(&uses);
    /// assert!((report.parameters[0].cosine(0, 1).unwrap_or(0.0) + 1.0).abs() < 1e-12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cosine(&self, a: usize, b: usize) -> Option<f64> {
        let n = self.uses.len();
        (a < n && b < n)
            .then(|| self.cosines.get(a * n + b).copied())
            .flatten()
            .flatten()
    }
}

/// One use in a [`UsedParameter`].
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f64>::new(), tiegrad_nn::doc_rng());
/// let encoder = Linear::with(4, 2).bias(false).build(&mut params, &mut rng)?;
/// let net = (TiedLinear::new(&mut params, Tied::transposed(encoder.weight), false)?,);
/// let (mut tape, mut uses) = (Tape::new(), UseGrads::new());
/// let g = tape.record(&mut params).per_use(&mut uses);
/// net.forward(g.full([1, 2], 0.5)).sum().backward()?;
/// let report = net.use_report(&uses);
/// let only = &report.parameters[0].uses[0];
/// assert_eq!((only.path.as_str(), only.transposed, only.op), ("0.weight", true, "linear"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OneUse {
    /// The path of the field that the id was read from; where the tape was given an id by value, the parameter's only path, or else its paths with ` or ` between.
    pub path: String,
    /// Whether this use takes it transposed.
    pub transposed: bool,
    /// The op that read it.
    pub op: &'static str,
    /// The line of the user's call.
    pub location: &'static Location<'static>,
    /// The Euclidean norm of its contribution.
    pub norm: f64,
}

impl UseReport {
    pub(crate) fn new<T: Scalar>(root: &dyn Module, grads: &UseGrads<T>) -> Self {
        let uses = all_uses(root);
        let fields = Fields::of(root);
        let mut by_id: IdMap<Vec<&Contribution<T>>> = IdMap::default();
        for contribution in grads.iter() {
            by_id
                .entry(contribution.id())
                .or_default()
                .push(contribution);
        }
        let mut parameters = Vec::new();
        let canonical = uses.iter().filter(|each| each.alias_of.is_none());
        for (path, id) in canonical.map(|each| (each.path.clone(), each.id)) {
            if let Some(of) = by_id.remove(&id) {
                parameters.push(UsedParameter::new(path, id, of, &uses, &fields));
            }
        }
        // In the order of the contributions, not in the map's.
        for id in grads.iter().map(Contribution::id) {
            if let Some(of) = by_id.remove(&id) {
                parameters.push(UsedParameter::new(id.to_string(), id, of, &uses, &fields));
            }
        }
        Self { parameters }
    }
}

impl UsedParameter {
    fn new<T: Scalar>(
        path: String,
        id: ParamId,
        mut contributions: Vec<&Contribution<T>>,
        uses: &[Use],
        fields: &Fields,
    ) -> Self {
        contributions.reverse(); // the backward pass met the last use first
        let mut cosines = Vec::new();
        for a in &contributions {
            cosines.extend(contributions.iter().map(|b| a.cosine(b)));
        }
        let mut sum: Vec<f64> = Vec::new();
        for contribution in &contributions {
            let grad = contribution.grad();
            sum.resize(grad.len(), 0.0);
            for (sum, x) in sum.iter_mut().zip(grad.iter()) {
                *sum += x.to_f64();
            }
        }
        let one = |contribution: &&Contribution<T>| {
            let found = fields.0.get(&(contribution.field(), id));
            let paths = || uses.iter().filter(|each| each.id == id);
            let (path, transposed) = match found {
                Some((path, transposed)) => (path.clone(), *transposed),
                None => (
                    paths()
                        .map(|each| &*each.path)
                        .collect::<Vec<_>>()
                        .join(" or "),
                    paths().count() == 1 && paths().all(|each| each.transposed),
                ),
            };
            OneUse {
                path: if path.is_empty() {
                    id.to_string()
                } else {
                    path
                },
                transposed,
                op: contribution.op(),
                location: contribution.location(),
                norm: contribution.norm(),
            }
        };
        Self {
            path,
            id,
            uses: contributions.iter().map(one).collect(),
            norm: sum.iter().map(|x| x * x).sum::<f64>().sqrt(),
            cosines,
        }
    }
}

/// The paths of the fields that hold ids, by address and id: an address alone might be that of a field that has moved away.
struct Fields(HashMap<(usize, ParamId), (String, bool)>);

impl Fields {
    fn of(root: &dyn Module) -> Self {
        let mut fields = Self(HashMap::new());
        walk(root, &mut fields);
        fields
    }
}

impl Walker<'_> for Fields {
    fn param(&mut self, at: At<'_>, param: ParamUse) {
        self.0.insert(
            (param.field, param.id),
            (at.path.to_owned(), param.transposed),
        );
    }
}

/// A line for each parameter, and below it, where it has several uses, one for each use with its cosines to those before.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f64>::new(), tiegrad_nn::doc_rng());
/// let layer = Linear::with(2, 1).bias(false).weight_init(init::ones()).build(&mut params, &mut rng)?;
/// let (mut tape, mut uses) = (Tape::new(), UseGrads::new());
/// let g = tape.record(&mut params).per_use(&mut uses);
/// let x = g.input((&[3.0, 4.0][..], [1, 2]));
/// (layer.forward(x) + layer.forward(x)).sum().backward()?;
/// let text = layer.use_report(&uses).to_string();
/// assert!(text.starts_with("weight  |grad| 1.000e1, 2 uses\n  weight  5.000e0  linear at "), "{text}");
/// assert!(text.trim_end().ends_with("cosine 1.000"), "{text}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl fmt::Display for UseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |text: &str| text.chars().count();
        for UsedParameter {
            path,
            uses,
            norm,
            cosines,
            ..
        } in &self.parameters
        {
            let plural = if uses.len() == 1 { "" } else { "s" };
            writeln!(f, "{path}  |grad| {norm:.3e}, {} use{plural}", uses.len())?;
            if uses.len() == 1 {
                continue;
            }
            let name =
                |one: &OneUse| format!("{}{}", one.path, if one.transposed { "ᵀ" } else { "" });
            let width = uses.iter().map(|one| length(&name(one))).max().unwrap_or(0);
            for (i, one) in uses.iter().enumerate() {
                write!(
                    f,
                    "  {:width$}  {:.3e}  {} at {}:{}",
                    name(one),
                    one.norm,
                    one.op,
                    one.location.file(),
                    one.location.line()
                )?;
                for (j, cosine) in cosines[i * uses.len()..][..i].iter().enumerate() {
                    let lead = if j == 0 { "  cosine " } else { ", " };
                    match cosine {
                        Some(cosine) => write!(f, "{lead}{cosine:.3}")?,
                        None => write!(f, "{lead}-")?,
                    }
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}
