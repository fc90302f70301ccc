//! Losses that are one op: cross-entropy and mean squared error.

use tiegrad_arena::Shape;
use tiegrad_kernels::{Scalar, elementwise, reduce, rows};

use super::embedding::check_indices;
use crate::error::Problem;
use crate::op::{ArgKind, Backward, Forward, Op};
use crate::sample::{ArgSpec, Sample};
use crate::var::Var;

/// The mean over all positions of `-ln softmax(logits)[target]`; logits (…, C), targets (…).
///
/// dlogits = (softmax(logits) - onehot(target)) · dy / positions; the softmax is computed again from the kept log-sum-exp.
///
/// ```
/// use tiegrad_autodiff::ops::CrossEntropy;
/// # let mut params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.record(&mut params);
/// let logits = g.leaf((&[0.0, 0.0][..], [1, 2]));
/// let loss = g.apply(CrossEntropy, &[logits, g.indices(&[1_u32])]).backward()?;
/// assert!((loss - 2.0_f64.ln()).abs() < 1e-12);
/// assert_eq!(logits.grad()?, Some(ndarray::array![[0.5, -0.5]].into_dyn()));
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy;

impl Op for CrossEntropy {
    const NAME: &'static str = "cross_entropy";

    fn arity(&self) -> Option<usize> {
        Some(2)
    }

    fn kind(&self, i: usize) -> ArgKind {
        if i == 1 {
            ArgKind::Indices
        } else {
            ArgKind::Dense
        }
    }

    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        let (logits, targets) = (args[0], args[1]);
        match logits.split_last() {
            Some((_, lead)) if lead == &targets[..] => Ok(Shape::SCALAR),
            _ => Err(Problem::ShapesDiffer),
        }
    }

    /// Log-sum-exp and loss of every position.
    fn saved(&self, args: &[&Shape], _: &Shape) -> usize {
        2 * args[1].len()
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let (logits, targets) = (cx.arg(0), cx.indices(1));
        let classes = cx.arg_shape(0).last().copied().unwrap_or(0);
        check_indices(targets, classes)?;
        let (out, saved) = cx.out_and_saved();
        let (lse, losses) = saved.split_at_mut(targets.len());
        rows::cross_entropy(losses, lse, logits, targets, classes);
        out[0] = reduce::sum(losses) / T::from_usize(targets.len());
        Ok(())
    }

    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        let (logits, targets) = (cx.arg(0), cx.indices(1));
        let classes = cx.arg_shape(0).last().copied().unwrap_or(0);
        let share = cx.dy()[0] / T::from_usize(targets.len());
        let lse = &cx.saved()[..targets.len()];
        cx.into(0, |dst| {
            rows::cross_entropy_backward(
                dst.write,
                dst.data,
                logits,
                lse,
                targets,
                classes,
                move |_| share,
            );
        });
    }

    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(
                CrossEntropy,
                [ArgSpec::values([4, 5]), ArgSpec::indices([4], 5)],
            ),
            Sample::new(
                CrossEntropy,
                [ArgSpec::values([2, 3, 4]), ArgSpec::indices([2, 3], 4)],
            ),
            Sample::new(
                CrossEntropy,
                [ArgSpec::values([3]), ArgSpec::indices([], 3)],
            ),
        ]
    }
}

/// mean((x - y)²). dx = 2 (x - y) dy / n, and the negative for y.
///
/// ```
/// use tiegrad_autodiff::ops::MseLoss;
/// # let mut params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.record(&mut params);
/// let x = g.leaf(&[1.0, 2.0]);
/// assert_eq!(g.apply(MseLoss, &[x, g.input(&[1.0, 4.0])]).backward()?, 2.0);
/// assert_eq!(x.grad()?, Some(ndarray::array![0.0, -2.0].into_dyn()));
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MseLoss;

impl Op for MseLoss {
    const NAME: &'static str = "mse_loss";

    fn arity(&self) -> Option<usize> {
        Some(2)
    }

    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        if args[0] == args[1] {
            Ok(Shape::SCALAR)
        } else {
            Err(Problem::ShapesDiffer)
        }
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let (x, y) = (cx.arg(0), cx.arg(1));
        let (n, square) = ([x.len()], |x: T, y: T, _: T| (x - y) * (x - y));
        reduce::sum_to(
            cx.write(),
            cx.out(),
            &[0],
            &n,
            x,
            &[1],
            y,
            &[1],
            y,
            &[1],
            square,
        );
        cx.out()[0] /= T::from_usize(x.len());
        Ok(())
    }

    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        let (x, y) = (cx.arg(0), cx.arg(1));
        let scale = T::from_f64(2.0) * cx.dy()[0] / T::from_usize(x.len());
        cx.into(0, |dst| {
            elementwise::zip(dst.write, dst.data, x, y, move |x, y| (x - y) * scale)
        });
        cx.into(1, |dst| {
            elementwise::zip(dst.write, dst.data, x, y, move |x, y| (y - x) * scale)
        });
    }

    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(MseLoss, [ArgSpec::values([3, 2]), ArgSpec::values([3, 2])]),
            Sample::new(MseLoss, [ArgSpec::values([]), ArgSpec::values([])]),
        ]
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// The mean cross-entropy in nats of logits (…, C) against target classes (…), given by [`Graph::indices`](crate::Graph::indices).
    /// NaN over no positions, as in PyTorch.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let logits = g.input((&[0.0, 0.0, 0.0, 9.0, 9.0, 9.0][..], [2, 3]));
    /// let loss = logits.cross_entropy(g.indices(&[0_u32, 2]));
    /// assert!((loss.item()? - 3.0_f64.ln()).abs() < 1e-12);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn cross_entropy(self, targets: Var<'t, T>) -> Var<'t, T> {
        self.graph().apply(CrossEntropy, &[self, targets])
    }

    /// The mean squared difference from `target`, which has the same shape (a shape that merely broadcasts is an error: it is a mistake more often than
    /// not).
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(g.input(&[1.0, 2.0]).mse_loss(g.input(&[1.0, 4.0])).item()?, 2.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    #[inline]
    pub fn mse_loss(self, target: Var<'t, T>) -> Var<'t, T> {
        self.graph().apply(MseLoss, &[self, target])
    }
}
