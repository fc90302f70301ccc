//! Activations as layers.

use std::fmt;
use std::panic::Location;

use tiegrad_autodiff::{Part, Var};
use tiegrad_derive::Module;
use tiegrad_kernels::Scalar;

use crate::layer::{Layer, observed};
use crate::tree::PyFloat;

macro_rules! activation {
    ($(#[doc = $doc:literal])+ $name:ident => $x:ident $result:expr) => {
        $(#[doc = $doc])+
        #[derive(Module, Clone, Copy, Debug, Default, PartialEq)]
        #[module(crate = "crate")]
        pub struct $name;

        impl Layer for $name {
            #[track_caller]
            #[inline]
            fn forward<'t, T: Scalar>(&self, $x: Var<'t, T>) -> Var<'t, T> {
                // Asked once: in an ordinary pass, that is all this costs.
                if $x.is_placeholder() {
                    return observed($x, Part::of(self), Location::caller(), |$x| $result);
                }
                $result
            }
        }
    };
}

activation! {
    /// max(x, 0).
    ///
    /// ```
    /// assert_eq!(tiegrad_nn::ReLU.to_string(), "ReLU()");
    /// ```
    ReLU => x x.relu()
}
activation! {
    /// The hyperbolic tangent.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (params, mut tape) = (Params::<f64>::new(), Tape::new());
    /// let y = Tanh.forward(tape.eval(&params).input(&[0.5]));
    /// assert_eq!(y.item()?, 0.5_f64.tanh());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Tanh => x x.tanh()
}
activation! {
    /// 1 / (1 + e⁻ˣ).
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (params, mut tape) = (Params::<f64>::new(), Tape::new());
    /// let y = Sigmoid.forward(tape.eval(&params).input(&[0.0]));
    /// assert_eq!(y.item()?, 0.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Sigmoid => x x.sigmoid()
}
activation! {
    /// x / (1 + e⁻ˣ), also called swish.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (params, mut tape) = (Params::<f64>::new(), Tape::new());
    /// let y = SiLU.forward(tape.eval(&params).input(&[1.0]));
    /// assert!((y.item()? - 0.7310585786300049).abs() < 1e-12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    SiLU => x x.silu()
}
activation! {
    /// What comes in goes out.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (params, mut tape) = (Params::<f64>::new(), Tape::new());
    /// let y = Identity.forward(tape.eval(&params).input(&[3.0]));
    /// assert_eq!(y.item()?, 3.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Identity => x x
}

/// x Φ(x) with Φ the normal distribution function (Hendrycks and Gimpel, arXiv:1606.08415), by the error function.
///
/// ```
/// assert_eq!(tiegrad_nn::GELU.to_string(), "GELU(approximate='none')");
/// ```
#[derive(Module, Clone, Copy, Debug, Default, PartialEq)]
#[module(crate = "crate", extra_repr = "GELU::extra")]
pub struct GELU;

impl GELU {
    fn extra(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("approximate='none'")
    }
}

impl Layer for GELU {
    #[track_caller]
    #[inline]
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.enter(|| Part::of(self));
        x.gelu().leave(x)
    }
}

/// [`GELU`] by its approximation with a hyperbolic tangent.
///
/// ```
/// assert_eq!(tiegrad_nn::GELUTanh.to_string(), "GELU(approximate='tanh')");
/// ```
#[derive(Module, Clone, Copy, Debug, Default, PartialEq)]
#[module(crate = "crate", kind = "GELU", extra_repr = "GELUTanh::extra")]
pub struct GELUTanh;

impl GELUTanh {
    fn extra(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("approximate='tanh'")
    }
}

impl Layer for GELUTanh {
    #[track_caller]
    #[inline]
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.enter(|| Part::of(self));
        x.gelu_tanh().leave(x)
    }
}

/// x for x > 0, else `negative_slope` · x.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (params, mut tape) = (Params::<f64>::new(), Tape::new());
/// let layer = LeakyReLU { negative_slope: 0.5 };
/// assert_eq!(layer.forward(tape.eval(&params).input(&[-2.0])).item()?, -1.0);
/// assert_eq!(LeakyReLU::default().to_string(), "LeakyReLU(negative_slope=0.01)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Module, Clone, Copy, Debug, PartialEq)]
#[module(crate = "crate", extra_repr = "LeakyReLU::extra")]
pub struct LeakyReLU {
    /// The slope below 0.
    pub negative_slope: f64,
}

impl Default for LeakyReLU {
    /// Slope 0.01.
    fn default() -> Self {
        Self {
            negative_slope: 0.01,
        }
    }
}

impl LeakyReLU {
    fn extra(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "negative_slope={}", PyFloat(self.negative_slope))
    }
}

impl Layer for LeakyReLU {
    #[track_caller]
    #[inline]
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.enter(|| Part::of(self));
        x.leaky_relu(self.negative_slope).leave(x)
    }
}

/// Softmax over one dimension.
///
/// ```
/// assert_eq!(tiegrad_nn::Softmax { dim: -1 }.to_string(), "Softmax(dim=-1)");
/// ```
#[derive(Module, Clone, Copy, Debug, PartialEq)]
#[module(crate = "crate", extra_repr = "Softmax::extra")]
pub struct Softmax {
    /// Which dimension; negative ones count from the last.
    pub dim: isize,
}

impl Softmax {
    fn extra(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dim={}", self.dim)
    }
}

impl Layer for Softmax {
    #[track_caller]
    #[inline]
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.enter(|| Part::of(self));
        x.softmax(self.dim).leave(x)
    }
}

/// The logarithm of softmax over one dimension.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (params, mut tape) = (Params::<f64>::new(), Tape::new());
/// let y = LogSoftmax { dim: -1 }.forward(tape.eval(&params).input(&[0.0, 0.0]));
/// assert!((y.exp().sum().item()? - 1.0).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Module, Clone, Copy, Debug, PartialEq)]
#[module(crate = "crate", extra_repr = "LogSoftmax::extra")]
pub struct LogSoftmax {
    /// Which dimension; negative ones count from the last.
    pub dim: isize,
}

impl LogSoftmax {
    fn extra(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dim={}", self.dim)
    }
}

impl Layer for LogSoftmax {
    #[track_caller]
    #[inline]
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.enter(|| Part::of(self));
        x.log_softmax(self.dim).leave(x)
    }
}

/// All dimensions but the first in one.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// let params = Params::<f32>::new();
/// let mut tape = Tape::new();
/// let y = Flatten.forward(tape.eval(&params).full([2, 3, 4], 0.0));
/// assert_eq!(&**y.shape(), [2, 12]);
/// ```
#[derive(Module, Clone, Copy, Debug, Default, PartialEq)]
#[module(crate = "crate", extra_repr = "Flatten::extra")]
pub struct Flatten;

impl Flatten {
    fn extra(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("start_dim=1, end_dim=-1")
    }
}

impl Layer for Flatten {
    #[track_caller]
    #[inline]
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.enter(|| Part::of(self));
        let flat = match **x.shape() {
            [] | [_] | [_, _] => x,
            [first, ref rest @ ..] => x.reshape([first, rest.iter().product()]),
        };
        flat.leave(x)
    }
}
