//! Dropout.

use std::fmt;

use tiegrad_autodiff::{Part, Var};
use tiegrad_derive::Module;
use tiegrad_kernels::Scalar;

use crate::layer::Layer;
use crate::tree::PyFloat;

/// In training, sets elements to 0 with probability `p` and scales the others by 1 / (1 - p); in evaluation, nothing.
///
/// ```
/// assert_eq!(tiegrad_nn::Dropout::new(0.1).to_string(), "Dropout(p=0.1, inplace=False)");
/// ```
#[derive(Module, Clone, Copy, Debug, PartialEq)]
#[module(crate = "crate", extra_repr = "Dropout::extra")]
pub struct Dropout {
    /// The probability of being dropped. Outside 0..=1 the forward pass is an error.
    pub p: f64,
}

impl Dropout {
    /// Drops with probability `p`.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (params, mut tape) = (Params::<f64>::new(), Tape::new());
    /// let dropout = Dropout::new(0.5);
    /// assert_eq!(dropout.p, 0.5);
    /// assert_eq!(dropout.forward(tape.eval(&params).input(&[3.0])).item()?, 3.0); // no training, no dropout
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(p: f64) -> Self {
        Self { p }
    }

    fn extra(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p={}, inplace=False", PyFloat(self.p))
    }
}

impl Layer for Dropout {
    #[track_caller]
    #[inline]
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        // Exactly 0 costs no op.
        x.enter(|| Part::of(self));
        let y = if self.p == 0.0 { x } else { x.dropout(self.p) };
        y.leave(x)
    }
}
