//! Root mean square normalization.

use tiegrad_arena::Shape;
use tiegrad_kernels::{DType, Scalar, rows};

use super::norm::normalized;
use crate::error::Problem;
use crate::op::{Backward, Forward, Op};
use crate::sample::{ArgSpec, Sample};
use crate::var::Var;

/// x / √(mean(x²) + eps) · weight over the last dimensions (Zhang & Sennrich, arXiv:1910.07467). Without an eps, the machine epsilon of the numbers that
/// are computed with, as in PyTorch.
///
/// With s = 1 / √(mean(x²) + eps), x̂ = x s and g = dy · weight: dx = s (g - x̂ mean(g x̂)), dweight = Σ dy x̂ over the rows.
///
/// ```
/// # let mut params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.record(&mut params);
/// let (x, gain) = (g.input(&[2.0, -2.0]), g.leaf(&[1.0, 10.0]));
/// let y = x.rms_norm(Some(gain), Some(0.0));
/// assert_eq!(y.sum().backward()?, -9.0);
/// assert_eq!(gain.grad()?, Some(ndarray::array![1.0, -1.0].into_dyn())); // the normalized input
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RmsNorm {
    /// Elements of a row: the product of the normalized dimensions.
    cols: usize,
    weight: bool,
    eps: Option<f64>,
}

impl Op for RmsNorm {
    const NAME: &'static str = "rms_norm";

    fn arity(&self) -> Option<usize> {
        Some(1 + usize::from(self.weight))
    }

    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        normalized(args, self.cols)
    }

    /// Zero and 1/√(mean(x²) + eps) of every row: the statistics of a layer norm with mean 0.
    fn saved(&self, args: &[&Shape], _: &Shape) -> usize {
        2 * args[0].len().checked_div(self.cols).unwrap_or(0)
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let x = cx.arg(0);
        let weight = if self.weight { Some(cx.arg(1)) } else { None };
        if self.cols == 0 {
            return Ok(());
        }
        let eps = self.eps.unwrap_or(match T::DTYPE {
            DType::F32 | DType::DualF32 => f32::EPSILON.into(),
            _ => f64::EPSILON,
        });
        let (out, stats) = cx.out_and_saved();
        rows::rms_norm(out, stats, x, weight, T::from_f64(eps), self.cols);
        Ok(())
    }

    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        let (x, dy, stats) = (cx.arg(0), cx.dy(), cx.saved());
        if self.cols == 0 {
            for i in 0..cx.args() {
                cx.into_zeroed(i, |_| {});
            }
            return;
        }
        let weight = if self.weight { Some(cx.arg(1)) } else { None };
        cx.into(0, |dst| {
            rows::rms_norm_backward_input(dst.write, dst.data, dy, x, stats, weight, self.cols)
        });
        if self.weight {
            cx.into(1, |dw| {
                let dw = Some((dw.write, dw.data));
                rows::layer_norm_backward_params(dw, None, dy, x, stats, self.cols);
            });
        }
    }

    fn samples() -> Vec<Sample<Self>> {
        let v = |shape: &[usize]| ArgSpec::values(shape);
        let op = |cols, weight, eps| RmsNorm { cols, weight, eps };
        vec![
            Sample::new(op(5, true, Some(1e-5)), [v(&[3, 5]), v(&[5])]),
            Sample::new(op(5, false, None), [v(&[2, 2, 5])]),
            Sample::new(op(6, true, None), [v(&[4, 2, 3]), v(&[2, 3])]),
            Sample::new(op(5, true, Some(0.1)), [v(&[0, 5]), v(&[5])]),
        ]
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// Root mean square normalization over the dimensions that `weight` has, the last one if there is none. Without `eps`, the machine epsilon of `T`, as in
    /// PyTorch.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let y = g.input(&[2.0, -2.0]).rms_norm(None, Some(0.0));
    /// assert_eq!(y.value()?, ndarray::array![1.0, -1.0].into_dyn());
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn rms_norm(self, weight: Option<Var<'t, T>>, eps: Option<f64>) -> Var<'t, T> {
        let cols = match weight {
            Some(weight) => weight.shape().len(),
            None => self.shape().last().copied().unwrap_or(1),
        };
        let op = RmsNorm {
            cols,
            weight: weight.is_some(),
            eps,
        };
        match weight {
            Some(weight) => self.graph().apply(op, &[self, weight]),
            None => self.graph().apply(op, &[self]),
        }
    }
}
