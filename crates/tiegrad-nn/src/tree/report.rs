//! The report on parameters and gradients: what is looked at when a training does not go as it should.

use std::fmt;

use tiegrad_arena::{ParamId, Params, Shape};
use tiegrad_kernels::Scalar;

use super::listing::{aliases, with_aliases};
use super::module::Module;
use super::text::{PyTuple, Table, thousands};
use super::uses::all_uses;

/// How many of the dead rows are named.
const NAMED: usize = 8;

/// What [`ModuleExt::report`](crate::ModuleExt::report) returns: of each parameter the norm of the value and of the gradient, and the rows that no
/// gradient reaches.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = (Linear::new(&mut params, 2, 3, &mut rng), ReLU);
/// params.as_mut_slice(net.0.weight)?.copy_from_slice(&[3.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
/// let bias = net.find("0.bias")?;
/// params.as_mut_slice(bias)?.copy_from_slice(&[0.0, -1.0, 2.0]); // the second neuron does not fire
/// assert_eq!(net.report(&params).rows[0].grad, None); // before the first backward pass
///
/// let mut tape = Tape::new();
/// let g = tape.record(&mut params);
/// net.forward(g.full([1, 2], 1.0)).sum().backward()?;
/// assert_eq!(net.report(&params).to_string(), "\
/// Parameter  Shape   |value|  |grad|  Dead rows
/// 0.weight   (3, 2)    5.000   2.000  1 of 3: 1
/// 0.bias     (3,)      2.236   1.414  1 of 3: 1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The parameters, each once, in tree order.
    pub rows: Vec<ReportRow>,
    /// The first paths of those that the arena does not have.
    pub missing: Vec<String>,
}

/// A parameter in a [`Report`].
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = Linear::with(2, 2).weight_init(init::ones()).build(&mut params, &mut rng)?;
/// let row = &net.report(&params).rows[0];
/// assert_eq!((row.path.as_str(), row.norm), ("weight", 2.0));
/// # Ok::<(), init::InitError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReportRow {
    /// Its first path.
    pub path: String,
    /// Its other paths, each with whether that use takes it the other way round than the first does.
    pub aliases: Vec<(String, bool)>,
    /// Which parameter.
    pub id: ParamId,
    /// Its shape.
    pub shape: Shape,
    /// The Euclidean norm of its value.
    pub norm: f64,
    /// Of its gradient; `None` before a backward pass has reached it.
    pub grad: Option<GradReport>,
}

/// A gradient in a [`Report`].
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = Embedding::new(&mut params, 4, 2, &mut rng);
/// let mut tape = Tape::new();
/// let g = tape.record(&mut params);
/// net.forward(g.indices(&ndarray::arr1(&[1_u32, 3]))).sum().backward()?;
/// let grad = net.report(&params).rows[0].grad.clone().unwrap();
/// assert_eq!((grad.norm, grad.rows, grad.dead), (2.0, 4, 2)); // tokens 0 and 2 were not looked up
/// assert_eq!(grad.first_dead, [0, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GradReport {
    /// Its Euclidean norm.
    pub norm: f64,
    /// How many rows it has: the size of the first dimension. Of a bias, a row is an element; a scalar has none.
    pub rows: usize,
    /// How many of these are all zeros: neurons that did not fire, tokens that were not looked up.
    pub dead: usize,
    /// The first 8 of them.
    pub first_dead: Vec<usize>,
}

impl Report {
    pub(crate) fn new<T: Scalar>(root: &dyn Module, params: &Params<T>) -> Self {
        let uses = all_uses(root);
        let (mut rows, mut missing) = (Vec::new(), Vec::new());
        for (each, aliases) in with_aliases(&uses) {
            let found = params.info(each.id).and_then(|info| {
                let (value, grad) = (params.as_slice(each.id)?, params.grad_slice(each.id)?);
                Ok((info.shape, value, grad))
            });
            let Ok((shape, value, grad)) = found else {
                missing.push(each.path.clone());
                continue;
            };
            let aliases = aliases.into_iter();
            rows.push(ReportRow {
                path: each.path.clone(),
                aliases: aliases
                    .map(|alias| (alias.path.clone(), alias.transposed != each.transposed))
                    .collect(),
                id: each.id,
                shape,
                norm: norm(value),
                grad: grad.map(|grad| GradReport::new(&shape, grad)),
            });
        }
        Self { rows, missing }
    }
}

impl GradReport {
    fn new<T: Scalar>(shape: &Shape, grad: &[T]) -> Self {
        let rows = shape.first().copied().unwrap_or(0);
        let mut dead = Vec::new();
        if let Some(columns) = grad.len().checked_div(rows).filter(|columns| *columns > 0) {
            let is_dead = |row: &[T]| row.iter().all(|x| x.to_f64() == 0.0);
            let each = grad.chunks(columns).enumerate();
            dead.extend(each.filter(|(_, row)| is_dead(row)).map(|(i, _)| i));
        }
        Self {
            norm: norm(grad),
            rows,
            dead: dead.len(),
            first_dead: dead.into_iter().take(NAMED).collect(),
        }
    }
}

fn norm<T: Scalar>(values: &[T]) -> f64 {
    let squares = values.iter().map(|x| x.to_f64() * x.to_f64());
    // An empty `sum` is -0.
    squares.fold(0.0, |sum, square| sum + square).sqrt()
}

/// Four digits that matter.
fn digits(x: f64) -> String {
    if x == 0.0 || (1e-3..1e4).contains(&x) {
        format!("{x:.3}")
    } else {
        format!("{x:.3e}")
    }
}

/// `2 of 8: 1, 5`
fn dead_rows(grad: &GradReport) -> String {
    if grad.dead == 0 {
        return String::new();
    }
    let indices: Vec<String> = grad.first_dead.iter().map(usize::to_string).collect();
    format!(
        "{} of {}: {}{}",
        thousands(grad.dead),
        thousands(grad.rows),
        indices.join(", "),
        if grad.dead > indices.len() {
            ", …"
        } else {
            ""
        }
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = ["Parameter", "Shape", "|value|", "|grad|", "Dead rows", ""];
        let mut rows = vec![heading.map(str::to_owned)];
        rows.extend(self.rows.iter().map(|row| {
            [
                row.path.clone(),
                PyTuple(&row.shape).to_string(),
                digits(row.norm),
                row.grad
                    .as_ref()
                    .map_or("None".to_owned(), |grad| digits(grad.norm)),
                row.grad.as_ref().map_or(String::new(), dead_rows),
                aliases(&row.aliases),
            ]
        }));
        let numbers = [false, false, true, true, false, false];
        fmt::Display::fmt(&Table { rows, numbers }, f)?;
        for path in &self.missing {
            write!(f, "\n{path} is not in this arena")?;
        }
        Ok(())
    }
}
