//! Root mean square normalization.

use std::fmt;

use tiegrad_arena::{IntoShape, ParamId, Params, Shape};
use tiegrad_autodiff::Var;
use tiegrad_derive::Module;
use tiegrad_kernels::Scalar;

use crate::init::InitError;
use crate::layer::Layer;
use crate::tree::{PyBool, PyFloat, PyTuple};

/// `x / √(mean(x²) + eps) · w` over the last dimensions (Zhang and Sennrich, arXiv:1910.07467).
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// let mut params = Params::<f32>::new();
/// let norm = RMSNorm::new(&mut params, 2);
/// assert_eq!(norm.to_string(), "RMSNorm((2,), eps=None, elementwise_affine=True)");
/// let mut tape = Tape::new();
/// let y = norm.forward(tape.eval(&params).input(&[3.0, -3.0]));
/// assert!((y.value()?[[0]] - 1.0).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Module, Clone, Debug, PartialEq)]
#[module(crate = "crate", extra_repr = "RMSNorm::extra")]
pub struct RMSNorm {
    /// Of the normalized shape; starts as ones.
    #[module(role = "gain")]
    pub weight: Option<ParamId>,
    /// The last dimensions of the input, over which it is normalized.
    pub normalized_shape: Shape,
    /// What is added to the mean square; `None`: the machine epsilon of the numbers that are computed with.
    pub eps: Option<f64>,
}

impl RMSNorm {
    /// Over the last dimensions `normalized_shape`, with a weight, eps the machine epsilon.
    ///
    /// Does not fail: in a full arena, or with a shape that cannot be, the id is dead, and its use is an error.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let mut params = Params::<f32>::new();
    /// let norm = RMSNorm::new(&mut params, [4, 8]); // over the last two dimensions
    /// assert_eq!(norm.num_parameters(&params), 32);
    /// assert_eq!(norm.eps, None);
    /// ```
    #[track_caller]
    pub fn new<T: Scalar>(params: &mut Params<T>, normalized_shape: impl IntoShape) -> Self {
        let (normalized_shape, weight) = match normalized_shape.into_shape() {
            Ok(shape) => (shape, params.insert_with(shape, |w| w.fill(T::ONE))),
            Err(_) => (Shape::SCALAR, ParamId::DEAD),
        };
        Self {
            weight: Some(weight),
            normalized_shape,
            eps: None,
        }
    }

    /// With the choice of `eps` and `elementwise_affine` (whether there is a weight), as in PyTorch.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// let mut params = Params::<f32>::new();
    /// let norm = RMSNorm::with(&mut params, 4, Some(1e-5), false)?;
    /// assert_eq!(norm.to_string(), "RMSNorm((4,), eps=1e-05, elementwise_affine=False)");
    /// # Ok::<(), init::InitError>(())
    /// ```
    ///
    /// # Errors
    /// [`InitError`]: a shape that cannot be, a full arena.
    #[track_caller]
    pub fn with<T: Scalar>(
        params: &mut Params<T>,
        normalized_shape: impl IntoShape,
        eps: Option<f64>,
        elementwise_affine: bool,
    ) -> Result<Self, InitError> {
        let normalized_shape = normalized_shape.into_shape()?;
        let weight = match elementwise_affine {
            true => Some(params.try_insert_with(normalized_shape, |w| w.fill(T::ONE))?),
            false => None,
        };
        Ok(Self {
            weight,
            normalized_shape,
            eps,
        })
    }

    fn extra(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, eps=", PyTuple(&self.normalized_shape))?;
        match self.eps {
            Some(eps) => write!(f, "{}", PyFloat(eps))?,
            None => f.write_str("None")?,
        }
        let affine = PyBool(self.weight.is_some());
        write!(f, ", elementwise_affine={affine}")
    }
}

impl Layer for RMSNorm {
    #[track_caller]
    #[inline]
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let g = x.graph();
        let weight = match &self.weight {
            Some(id) => g.param_ref(id),
            // The op takes the normalized shape from its weight.
            None => g.full(self.normalized_shape, T::ONE),
        };
        x.rms_norm(Some(weight), self.eps)
    }
}
