//! The affine map of a linear layer and its activation, in one op.

use tiegrad_arena::Shape;
use tiegrad_kernels::matmul::Activation;
use tiegrad_kernels::{Scalar, Write, elementwise};

use super::linear::{self, Linear};
use super::unary::{Relu, Sigmoid, Tanh, Unary};
use crate::error::Problem;
use crate::op::{ArgKind, Backward, Forward, Op};
use crate::sample::{ArgSpec, Sample};
use crate::var::Var;

/// The activations whose derivative follows from their result, so that the argument need not be kept.
///
/// ```
/// use tiegrad_autodiff::ops::FusedActivation;
/// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
/// let w = g.input((&[1.0, -1.0][..], [2, 1]));
/// let y = g.input(&[3.0]).linear_activation(w, None, FusedActivation::Relu);
/// assert_eq!(y.as_slice()?, Some(&[3.0, 0.0][..]));
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FusedActivation {
    /// [`Relu`]
    Relu,
    /// [`Sigmoid`]
    Sigmoid,
    /// [`Tanh`]
    Tanh,
}

/// y = f(x wᵀ + b), to the bit what [`Linear`] followed by the activation f gives, with the operands of `Linear`. The activation is applied as the product is
/// written, and only y is kept: one pass over the result and one buffer less.
///
/// With z = x wᵀ + b: dz = dy f'(z), where f' follows from y; then as in `Linear`.
///
/// ```
/// use tiegrad_autodiff::ops::{FusedActivation, LinearActivation};
/// # let mut params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.record(&mut params);
/// let w = g.leaf((&[1.0, -2.0][..], [2, 1]));
/// let op = LinearActivation { bias: false, activation: FusedActivation::Relu };
/// assert_eq!(g.apply(op, &[g.input(&[3.0]), w]).sum().backward()?, 3.0);
/// assert_eq!(w.grad()?, Some(ndarray::array![[3.0], [0.0]].into_dyn()));
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LinearActivation {
    /// Whether there is a third operand, the bias.
    pub bias: bool,
    /// What is applied to the affine map's result.
    pub activation: FusedActivation,
}

impl LinearActivation {
    fn linear(&self) -> Linear {
        Linear { bias: self.bias }
    }
}

impl Op for LinearActivation {
    const NAME: &'static str = "linear_activation";

    fn arity(&self) -> Option<usize> {
        self.linear().arity()
    }

    fn kind(&self, i: usize) -> ArgKind {
        self.linear().kind(i)
    }

    #[inline]
    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        self.linear().shape(args)
    }

    fn multiply_adds(&self, args: &[&Shape], out: &Shape) -> u64 {
        self.linear().multiply_adds(args, out)
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let activation = match self.activation {
            FusedActivation::Relu => Activation::Relu,
            FusedActivation::Sigmoid => Activation::Sigmoid,
            FusedActivation::Tanh => Activation::Tanh,
        };
        linear::forward(cx, self.bias, activation);
        Ok(())
    }

    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        let (y, dy) = (cx.out(), cx.dy());
        cx.with_scratch(y.len(), |dz| {
            match self.activation {
                FusedActivation::Relu => through(dz, y, dy, Relu),
                FusedActivation::Sigmoid => through(dz, y, dy, Sigmoid),
                FusedActivation::Tanh => through(dz, y, dy, Tanh),
            }
            linear::backward(cx, self.bias, dz);
        });
    }

    fn samples() -> Vec<Sample<Self>> {
        let v = |shape: &[usize]| ArgSpec::values(shape);
        let sample = |bias, activation, args: &[ArgSpec]| {
            Sample::new(LinearActivation { bias, activation }, args)
        };
        let mut samples = Vec::new();
        for activation in [FusedActivation::Sigmoid, FusedActivation::Tanh] {
            samples.extend([
                sample(true, activation, &[v(&[2, 3, 4]), v(&[5, 4]), v(&[5])]),
                sample(false, activation, &[v(&[4]), v(&[2, 4])]),
            ]);
        }
        // A product of one feature is away from the kink where both factors are, and has both signs; a small bias leaves it there.
        let one = |shape: &[usize]| ArgSpec::values(shape).away_from(&[0.0]);
        let (small, positive) = (v(&[4]).range(-0.001, 0.001), |shape| {
            v(shape).range(0.3, 1.0)
        });
        let negative = v(&[2, 3]).range(-1.0, -0.3);
        let relu = FusedActivation::Relu;
        samples.extend([
            sample(true, relu, &[one(&[3, 1]), one(&[4, 1]), small]),
            sample(
                true,
                relu,
                &[positive(&[2, 3]), positive(&[2, 3]), positive(&[2])],
            ),
            sample(false, relu, &[positive(&[3]), negative]),
            sample(true, relu, &[v(&[0, 4]), v(&[2, 4]), v(&[2])]),
            sample(true, relu, &[v(&[3, 0]), v(&[2, 0]), positive(&[2])]),
        ]);
        samples
    }
}

/// The gradient before the activation `f`, from its result.
fn through<T: Scalar, F: Unary>(dz: &mut [T], y: &[T], dy: &[T], f: F) {
    elementwise::zip(Write::Overwrite, dz, y, dy, move |y, dy| {
        // ReLU's is the same of its argument and of its result; the others look at the result alone.
        f.gradient(y, y, dy)
    });
}

impl<'t, T: Scalar> Var<'t, T> {
    /// [`linear`](Var::linear) and an activation in one op: the same numbers, and one pass over the result and one buffer less.
    ///
    /// ```
    /// use tiegrad_autodiff::ops::FusedActivation;
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let (x, w, b) = (g.input(&[1.0, 2.0]), g.input((&[0.5, -1.0][..], [1, 2])), g.input(&[0.25]));
    /// let fused = x.linear_activation(w, Some(b), FusedActivation::Tanh);
    /// assert_eq!(fused.item()?, x.linear(w, Some(b)).tanh().item()?);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    #[inline]
    pub fn linear_activation(
        self,
        weight: Var<'t, T>,
        bias: Option<Var<'t, T>>,
        activation: FusedActivation,
    ) -> Var<'t, T> {
        let op = LinearActivation {
            bias: bias.is_some(),
            activation,
        };
        match bias {
            Some(bias) => self.graph().apply(op, &[self, weight, bias]),
            None => self.graph().apply(op, &[self, weight]),
        }
    }
}
