//! An affine map with its activation in one layer.

use std::fmt;

use rand::Rng;
use tiegrad_arena::Params;
use tiegrad_autodiff::Var;
use tiegrad_autodiff::ops::FusedActivation;
use tiegrad_kernels::Scalar;

use crate::layer::Layer;
use crate::layers::Linear;
use crate::tree::{Module, PyFloat, Visit, VisitMut, fmt_module};

/// What a [`Dense`] layer applies to its result, under Keras's names.
///
/// ```
/// use tiegrad_nn::Activation;
/// assert_eq!(Activation::ReLU.to_string(), "relu");
/// assert_eq!(Activation::LeakyReLU(0.2).to_string(), "leaky_relu(0.2)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// x
    Linear,
    /// max(x, 0)
    ReLU,
    /// max(x, 0) + slope · min(x, 0)
    LeakyReLU(
        /// The slope for negative numbers.
        f64,
    ),
    /// x Φ(x), with the error function.
    GELU,
    /// Its approximation by tanh.
    GELUTanh,
    /// x σ(x)
    SiLU,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// tanh x
    Tanh,
    /// Softmax over the last dimension.
    Softmax,
}

impl Activation {
    /// The activation of `x`.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (params, mut tape) = (Params::<f64>::new(), Tape::new());
    /// let y = Activation::ReLU.forward(tape.eval(&params).input(&[-1.0, 2.0]));
    /// assert_eq!(y.sum().item()?, 2.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    #[inline]
    pub fn forward<'t, T: Scalar>(self, x: Var<'t, T>) -> Var<'t, T> {
        match self {
            Self::Linear => x,
            Self::ReLU => x.relu(),
            Self::LeakyReLU(slope) => x.leaky_relu(slope),
            Self::GELU => x.gelu(),
            Self::GELUTanh => x.gelu_tanh(),
            Self::SiLU => x.silu(),
            Self::Sigmoid => x.sigmoid(),
            Self::Tanh => x.tanh(),
            Self::Softmax => x.softmax(-1),
        }
    }

    /// As what one op with the affine map computes it, where there is one: the others' derivatives need the affine map's result, which then may as well stand on the
    /// tape.
    #[inline]
    fn fused(self) -> Option<FusedActivation> {
        match self {
            Self::ReLU => Some(FusedActivation::Relu),
            Self::Sigmoid => Some(FusedActivation::Sigmoid),
            Self::Tanh => Some(FusedActivation::Tanh),
            _ => None,
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linear => "linear",
            Self::ReLU => "relu",
            Self::LeakyReLU(slope) => return write!(f, "leaky_relu({})", PyFloat(*slope)),
            Self::GELU => "gelu",
            Self::GELUTanh => "gelu_tanh",
            Self::SiLU => "silu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Softmax => "softmax",
        })
    }
}

/// `y = activation(x wᵀ + b)` over the last dimension: a [`Linear`] with its activation fused in, as Keras and Gluon have it. Its parameters are named `weight` and
/// `bias`; the tree shows one node where a `Linear` with an activation behind it are two. The numbers are the same; with ReLU, sigmoid and tanh the activation is applied as the
/// product is written, and the affine map's result is not kept.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let fused = Dense::new(&mut params, 4, 8, Activation::ReLU, &mut rng);
/// assert_eq!(fused.to_string(), "Dense(in_features=4, out_features=8, bias=True, activation=relu)");
/// assert_eq!(fused.find("weight")?, fused.linear.weight);
///
/// let apart = (fused.linear.clone(), ReLU);
/// let mut tape = Tape::new();
/// let g = tape.eval(&params);
/// let x = g.full([2, 4], 0.5);
/// assert_eq!(fused.forward(x).value()?, apart.forward(x).value()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// The affine map.
    pub linear: Linear,
    /// What is applied to its result.
    pub activation: Activation,
}

impl Dense {
    /// [`Linear::new`] with an activation. Does not fail: in a full arena the ids are dead, and their use is an error.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let layer = Dense::new(&mut params, 4, 8, Activation::Tanh, &mut rng);
    /// assert_eq!(layer.num_parameters(&params), 40);
    /// ```
    #[track_caller]
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        in_features: usize,
        out_features: usize,
        activation: Activation,
        rng: &mut impl Rng,
    ) -> Self {
        Linear::new(params, in_features, out_features, rng).activated(activation)
    }
}

impl Linear {
    #[track_caller]
    #[inline]
    fn forward_activated<'t, T: Scalar>(
        &self,
        x: Var<'t, T>,
        activation: FusedActivation,
    ) -> Var<'t, T> {
        let g = x.graph();
        let weight = g.param_ref(&self.weight);
        // No closure: errors and reports show the line that asked for a parameter.
        match &self.bias {
            Some(bias) => x.linear_activation(weight, Some(g.param_ref(bias)), activation),
            None => x.linear_activation(weight, None, activation),
        }
    }

    /// This layer with an activation fused in; the parameters stay the same ones.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let linear = Linear::with(4, 8).bias(false).build(&mut params, &mut rng)?;
    /// let layer = linear.clone().activated(Activation::GELU);
    /// assert_eq!(layer.linear.weight, linear.weight);
    /// # Ok::<(), init::InitError>(())
    /// ```
    pub fn activated(self, activation: Activation) -> Dense {
        Dense {
            linear: self,
            activation,
        }
    }
}

impl Layer for Dense {
    #[track_caller]
    #[inline]
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        match self.activation.fused() {
            Some(activation) => self.linear.forward_activated(x, activation),
            None => self.activation.forward(self.linear.forward(x)),
        }
    }
}

/// One node: the parameters are the linear map's, under its names.
impl Module for Dense {
    fn visit<'a>(&'a self, v: &mut dyn Visit<'a>) {
        self.linear.visit(v);
    }

    fn visit_mut(&mut self, v: &mut dyn VisitMut) {
        self.linear.visit_mut(v);
    }

    fn extra_repr(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.linear.extra_repr(f)?;
        write!(f, ", activation={}", self.activation)
    }
}

impl fmt::Display for Dense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_module(self, f)
    }
}
