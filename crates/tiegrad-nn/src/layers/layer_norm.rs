//! Layer normalization.

use std::fmt;

use tiegrad_arena::{IntoShape, ParamId, Params, Shape};
use tiegrad_autodiff::Var;
use tiegrad_derive::Module;
use tiegrad_kernels::Scalar;

use crate::init::InitError;
use crate::layer::Layer;
use crate::tree::{PyBool, PyFloat, PyTuple};

/// `(x - mean) / √(var + eps) · w + b` over the last dimensions (Ba, Kiros and Hinton, arXiv:1607.06450).
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// let mut params = Params::<f32>::new();
/// let norm = LayerNorm::new(&mut params, 4);
/// assert_eq!(norm.to_string(), "LayerNorm((4,), eps=1e-05, elementwise_affine=True)");
/// let mut tape = Tape::new();
/// let y = norm.forward(tape.eval(&params).input(&[1.0, 2.0, 3.0, 4.0]));
/// assert!(y.mean().item()?.abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Module, Clone, Debug, PartialEq)]
#[module(crate = "crate", extra_repr = "LayerNorm::extra")]
pub struct LayerNorm {
    /// Of the normalized shape; starts as ones.
    #[module(role = "gain")]
    pub weight: Option<ParamId>,
    /// Of the normalized shape; starts as zeros.
    pub bias: Option<ParamId>,
    /// The last dimensions of the input, over which it is normalized.
    pub normalized_shape: Shape,
    /// What is added to the variance.
    pub eps: f64,
}

impl LayerNorm {
    /// Over the last dimensions `normalized_shape`, with weight and bias, eps 1e-5.
    ///
    /// Does not fail: in a full arena, or with a shape that cannot be, the ids are dead, and their use is an error.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let norm = LayerNorm::new(&mut params, [4, 8]); // over the last two dimensions
    /// assert_eq!(norm.num_parameters(&params), 64);
    /// assert_eq!(norm.eps, 1e-5);
    /// ```
    #[track_caller]
    pub fn new<T: Scalar>(params: &mut Params<T>, normalized_shape: impl IntoShape) -> Self {
        let (normalized_shape, weight, bias) = match normalized_shape.into_shape() {
            Ok(shape) => (
                shape,
                params.insert_with(shape, |w| w.fill(T::ONE)),
                params.insert_with(shape, |_| {}),
            ),
            Err(_) => (Shape::SCALAR, ParamId::DEAD, ParamId::DEAD),
        };
        Self {
            weight: Some(weight),
            bias: Some(bias),
            normalized_shape,
            eps: 1e-5,
        }
    }

    /// With the choice of `eps`, `elementwise_affine` (weight, and bias if wanted) and `bias`, as in PyTorch.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// let mut params = Params::<f32>::new();
    /// let norm = LayerNorm::with(&mut params, 4, 1e-5, true, false)?;
    /// assert!(norm.weight.is_some() && norm.bias.is_none());
    /// # Ok::<(), init::InitError>(())
    /// ```
    ///
    /// # Errors
    /// [`InitError`]: a shape that cannot be, a full arena.
    #[track_caller]
    pub fn with<T: Scalar>(
        params: &mut Params<T>,
        normalized_shape: impl IntoShape,
        eps: f64,
        elementwise_affine: bool,
        bias: bool,
    ) -> Result<Self, InitError> {
        let normalized_shape = normalized_shape.into_shape()?;
        let weight = match elementwise_affine {
            true => Some(params.try_insert_with(normalized_shape, |w| w.fill(T::ONE))?),
            false => None,
        };
        let bias = match elementwise_affine && bias {
            true => Some(params.try_insert_with(normalized_shape, |_| {})?),
            false => None,
        };
        Ok(Self {
            weight,
            bias,
            normalized_shape,
            eps,
        })
    }

    fn extra(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shape, affine) = (
            PyTuple(&self.normalized_shape),
            PyBool(self.weight.is_some()),
        );
        write!(
            f,
            "{shape}, eps={}, elementwise_affine={affine}",
            PyFloat(self.eps)
        )
    }
}

impl Layer for LayerNorm {
    #[track_caller]
    #[inline]
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let g = x.graph();
        let weight = match (&self.weight, &self.bias) {
            (Some(id), _) => Some(g.param_ref(id)),
            (None, Some(_)) => None,
            // The op takes the normalized shape from its parameters.
            (None, None) => Some(g.full(self.normalized_shape, T::ONE)),
        };
        #[allow(clippy::manual_map)] // a closure would not hand the caller's line on
        let bias = match &self.bias {
            Some(id) => Some(g.param_ref(id)),
            None => None,
        };
        x.layer_norm(weight, bias, self.eps)
    }
}
