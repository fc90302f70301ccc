//! Gradient checks for tiegrad: central finite differences and dual numbers, for ops and for whole models.
//!
//! [`check_op`] draws the inputs that an op lists as its samples and compares its rule with two independent references; [`check_ops`] walks
//! the engine's list, so that being listed is being tested. [`gradcheck`] does the same for the parameters of a user's
//! own model.
//!
//! ```
//! use ndarray::array;
//! use tiegrad_arena::Params;
//! use tiegrad_check::gradcheck;
//!
//! let mut params = Params::<f64>::new();
//! let w = params.insert(&array![[0.3, -0.2], [0.1, 0.4]])?;
//! let report = gradcheck(&params, |g| {
//!     let w = g.param(w);
//!     g.input(&array![[1.0, 2.0]]).matmul(w).tanh().matmul(w.t()).sum() // a tie, one use transposed
//! })?;
//! assert_eq!(report.elements, 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod draw;
mod model;
mod op;

use std::fmt;

use tiegrad_arena::Shape;

pub use model::gradcheck;
pub use op::{OpReport, check_op, check_ops};

/// What a passed check went over.
///
/// ```
/// # use tiegrad_check::{check_op}; use tiegrad_autodiff::ops;
/// assert!(check_op::<ops::Tanh>()?.elements > 0);
/// # Ok::<(), tiegrad_check::CheckError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Samples (of an op), or 1.
    pub samples: usize,
    /// Gradient elements compared.
    pub elements: usize,
    /// The largest error seen, relative to 1 + |gradient|.
    pub worst: f64,
}

/// A gradient that does not pass, or an op that cannot be run on its own samples.
///
/// ```
/// use ndarray::array;
/// use tiegrad_arena::Params;
/// use tiegrad_check::{CheckError, gradcheck};
///
/// let mut params = Params::<f64>::new();
/// let w = params.insert(&array![1.0, 0.0])?;
/// let error = gradcheck(&params, |g| g.param(w).relu().sum()).unwrap_err(); // there is a kink at 0
/// assert!(matches!(error, CheckError::Wrong { element: 1, analytic: 0.0, .. }));
/// let error = gradcheck(&params, |g| g.param(w).reshape([3])).unwrap_err();
/// assert!(matches!(error, CheckError::Failed { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CheckError {
    /// A gradient element differs from its reference.
    Wrong {
        /// The op's name, or `model`.
        what: String,
        /// Which sample and variant, which operand or parameter.
        place: String,
        /// Index of the element in row-major order.
        element: usize,
        /// What the rule computed.
        analytic: f64,
        /// What the reference says.
        reference: f64,
    },
    /// An op failed on the way.
    Failed {
        /// The op's name, or `model`.
        what: String,
        /// Which sample.
        place: String,
        /// The op's error.
        error: tiegrad_autodiff::Error,
    },
    /// The shape-only pass gives another shape than the pass with numbers.
    Shape {
        /// The op's name.
        what: String,
        /// Which sample.
        place: String,
        /// What the shape-only pass gives.
        found: Box<Shape>,
        /// What the other gives.
        expected: Box<Shape>,
    },
    /// An op without samples, or a model without a parameter that requires a gradient: a check that checks nothing.
    Nothing {
        /// The op's name, or `model`.
        what: String,
    },
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckError::Wrong {
                what,
                place,
                element,
                analytic,
                reference,
            } => write!(
                f,
                "wrong gradient of {what}, {place}, element {element}: the rule gives {analytic:e}, the reference {reference:e}"
            ),
            CheckError::Failed { what, place, error } => {
                write!(f, "{what}, {place}, does not run: {error}")
            }
            CheckError::Shape {
                what,
                place,
                found,
                expected,
            } => write!(
                f,
                "{what}, {place}, has the shape {found} in a shape-only pass and {expected} with numbers"
            ),
            CheckError::Nothing { what } => write!(f, "{what} has nothing to check"),
        }
    }
}

impl std::error::Error for CheckError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CheckError::Failed { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Error relative to 1 + |reference|; a NaN or infinity on one side only is an infinite error.
pub(crate) fn error_of(analytic: f64, reference: f64) -> f64 {
    if analytic == reference || (analytic.is_nan() && reference.is_nan()) {
        return 0.0;
    }
    let error = (analytic - reference).abs() / (1.0 + reference.abs());
    if error.is_nan() { f64::INFINITY } else { error }
}

/// The sixth-order central difference of a function of a step, from six values.
///
/// With steps ±h, ±2h, ±3h the error is O(h⁶) (Fornberg, Math. Comp. 51, 1988), so that h can be large enough for rounding not to matter.
pub(crate) fn derivative<E>(h: f64, mut f: impl FnMut(f64) -> Result<f64, E>) -> Result<f64, E> {
    let mut pair = |i: f64| -> Result<f64, E> { Ok(f(i * h)? - f(-i * h)?) };
    Ok((45.0 * pair(1.0)? - 9.0 * pair(2.0)? + pair(3.0)?) / (60.0 * h))
}
