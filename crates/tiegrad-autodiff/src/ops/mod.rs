//! The ops, one file per family: shapes, forward, rule, citation and samples stand together, and the Var methods beside them.
//!
//! An op is listed in [`visit`] and nowhere else. The tape and the backward walk name no op; the gradient checks walk the list.

mod attention;
mod binary;
mod concat;
mod copy;
mod dropout;
mod embedding;
mod linear;
mod linear_activation;
mod loss;
mod matmul;
mod norm;
mod reduce;
mod rms_norm;
mod softmax;
mod trig;
mod unary;
mod view;

pub use attention::Attention;
pub use binary::{Add, Binary, Div, Maximum, Minimum, Mul, Sub};
pub use concat::Concat;
pub use copy::{BroadcastTo, Contiguous};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use linear::Linear;
pub use linear_activation::{FusedActivation, LinearActivation};
pub use loss::{CrossEntropy, MseLoss};
pub use matmul::Matmul;
pub use norm::LayerNorm;
pub use reduce::{Amax, Sum};
pub use rms_norm::RmsNorm;
pub use softmax::{LogSoftmax, Softmax};
pub use trig::{Cos, Sin};
pub use unary::{
    Abs, Affine, Clamp, Elu, Erf, Exp, Expm1, Gelu, GeluTanh, LeakyRelu, Log, Log1p, Pow,
    Reciprocal, Relu, Sigmoid, Silu, Softplus, Sqrt, Square, Tanh, Unary,
};

use crate::op::Op;

/// Walks the list of ops.
///
/// ```
/// use tiegrad_autodiff::{Op, ops};
///
/// struct Names(Vec<&'static str>);
/// impl ops::Visitor for Names {
///     fn op<O: Op>(&mut self) {
///         self.0.push(O::NAME);
///     }
/// }
/// let mut names = Names(Vec::new());
/// ops::visit(&mut names);
/// assert!(names.0.contains(&"matmul"));
/// ```
pub trait Visitor {
    /// Called for each op of the list.
    fn op<O: Op>(&mut self);
}

/// The list of ops, in alphabetical order. To be on it is to be checked.
///
/// ```
/// use tiegrad_autodiff::{Op, ops};
///
/// struct Samples(usize);
/// impl ops::Visitor for Samples {
///     fn op<O: Op>(&mut self) {
///         self.0 += O::samples().len();
///     }
/// }
/// let mut samples = Samples(0);
/// ops::visit(&mut samples);
/// assert!(samples.0 > 100);
/// ```
pub fn visit(v: &mut impl Visitor) {
    v.op::<Abs>();
    v.op::<Add>();
    v.op::<Affine>();
    v.op::<Amax>();
    v.op::<Attention>();
    v.op::<BroadcastTo>();
    v.op::<Clamp>();
    v.op::<Concat>();
    v.op::<Contiguous>();
    v.op::<Cos>();
    v.op::<CrossEntropy>();
    v.op::<Div>();
    v.op::<Dropout>();
    v.op::<Elu>();
    v.op::<Embedding>();
    v.op::<Erf>();
    v.op::<Exp>();
    v.op::<Expm1>();
    v.op::<Gelu>();
    v.op::<GeluTanh>();
    v.op::<LayerNorm>();
    v.op::<LeakyRelu>();
    v.op::<Linear>();
    v.op::<LinearActivation>();
    v.op::<Log>();
    v.op::<Log1p>();
    v.op::<LogSoftmax>();
    v.op::<Matmul>();
    v.op::<Maximum>();
    v.op::<Minimum>();
    v.op::<MseLoss>();
    v.op::<Mul>();
    v.op::<Pow>();
    v.op::<Reciprocal>();
    v.op::<Relu>();
    v.op::<RmsNorm>();
    v.op::<Sigmoid>();
    v.op::<Silu>();
    v.op::<Sin>();
    v.op::<Softmax>();
    v.op::<Softplus>();
    v.op::<Sqrt>();
    v.op::<Square>();
    v.op::<Sub>();
    v.op::<Sum>();
    v.op::<Tanh>();
}
