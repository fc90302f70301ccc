//! Layer normalization.

use tiegrad_arena::Shape;
use tiegrad_kernels::{MAX_RANK, Scalar, rows};

use crate::error::Problem;
use crate::op::{Backward, Forward, Op};
use crate::sample::{ArgSpec, Sample};
use crate::var::Var;

/// (x - mean) / √(variance + eps) · weight + bias over the last dimensions (Ba, Kiros & Hinton, arXiv:1607.06450). The variance is the biased one.
///
/// With x̂ the normalized input, g = dy · weight and n the row length: dx = (g - mean(g) - x̂ mean(g x̂)) / √(variance + eps),
/// dweight = Σ dy x̂, dbias = Σ dy over the rows.
///
/// ```
/// # let mut params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.record(&mut params);
/// let (x, gain) = (g.input(&[1.0, 3.0]), g.leaf(&[1.0, 10.0]));
/// let y = x.layer_norm(Some(gain), None, 0.0);
/// assert_eq!(y.sum().backward()?, 9.0);
/// assert_eq!(gain.grad()?, Some(ndarray::array![-1.0, 1.0].into_dyn())); // the normalized input
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// Elements of a row: the product of the normalized dimensions.
    cols: usize,
    weight: bool,
    bias: bool,
    eps: f64,
}

impl LayerNorm {
    fn bias_at(self) -> usize {
        1 + usize::from(self.weight)
    }
}

/// The shape of a normalization, whose parameters have the shape of the last dimensions of `x`: `cols` elements. There is at least one such
/// dimension, as in PyTorch: without, every number would be normalized by itself.
pub(super) fn normalized(args: &[&Shape], cols: usize) -> Result<Shape, Problem> {
    let x = args[0];
    for (shape, what) in args.iter().zip(["the input", "the weight or bias"]) {
        if shape.rank() == 0 {
            return Err(Problem::Rank {
                what,
                least: 1,
                most: MAX_RANK,
                found: 0,
            });
        }
    }
    for parameter in &args[1..] {
        let tail = x
            .rank()
            .checked_sub(parameter.rank())
            .map(|lead| &x[lead..]);
        // Two parameters that are both a tail of x, one longer than the other, do not go together.
        if tail != Some(&parameter[..]) || *parameter != args[1] {
            return Err(Problem::ShapesDiffer);
        }
    }
    let found = match args.get(1) {
        Some(parameter) => parameter.len(),
        None => x.last().copied().unwrap_or(1),
    };
    if found != cols {
        return Err(Problem::ShapesDiffer);
    }
    Ok(*x)
}

impl Op for LayerNorm {
    const NAME: &'static str = "layer_norm";

    fn arity(&self) -> Option<usize> {
        Some(self.bias_at() + usize::from(self.bias))
    }

    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        normalized(args, self.cols)
    }

    /// Mean and 1/√(variance + eps) of every row.
    fn saved(&self, args: &[&Shape], _: &Shape) -> usize {
        2 * args[0].len().checked_div(self.cols).unwrap_or(0)
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let x = cx.arg(0);
        let weight = if self.weight { Some(cx.arg(1)) } else { None };
        let bias = if self.bias {
            Some(cx.arg(self.bias_at()))
        } else {
            None
        };
        if self.cols == 0 {
            return Ok(());
        }
        let (out, stats) = cx.out_and_saved();
        rows::layer_norm(
            out,
            stats,
            x,
            weight,
            bias,
            T::from_f64(self.eps),
            self.cols,
        );
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
            rows::layer_norm_backward_input(dst.write, dst.data, dy, x, stats, weight, self.cols)
        });
        match (self.weight, self.bias) {
            (true, true) => cx.into_many([1, 2], |[dw, db]| {
                let [dw, db] = [dw, db].map(|dst| dst.map(|dst| (dst.write, dst.data)));
                rows::layer_norm_backward_params(dw, db, dy, x, stats, self.cols);
            }),
            (true, false) => cx.into(1, |dw| {
                rows::layer_norm_backward_params(
                    Some((dw.write, dw.data)),
                    None,
                    dy,
                    x,
                    stats,
                    self.cols,
                );
            }),
            (false, true) => cx.into(1, |db| {
                rows::layer_norm_backward_params(
                    None,
                    Some((db.write, db.data)),
                    dy,
                    x,
                    stats,
                    self.cols,
                );
            }),
            (false, false) => {}
        }
    }

    fn samples() -> Vec<Sample<Self>> {
        let v = |shape: &[usize]| ArgSpec::values(shape);
        let op = |cols, weight, bias| LayerNorm {
            cols,
            weight,
            bias,
            eps: 1e-5,
        };
        vec![
            Sample::new(op(5, true, true), [v(&[3, 5]), v(&[5]), v(&[5])]),
            Sample::new(op(5, true, false), [v(&[3, 5]), v(&[5])]),
            Sample::new(op(5, false, true), [v(&[3, 5]), v(&[5])]),
            Sample::new(op(5, false, false), [v(&[2, 2, 5])]),
            Sample::new(op(6, true, true), [v(&[4, 2, 3]), v(&[2, 3]), v(&[2, 3])]),
            Sample::new(op(5, true, true), [v(&[0, 5]), v(&[5]), v(&[5])]),
        ]
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// Layer normalization over the dimensions that `weight` (or `bias`) has, the last one if there is neither. PyTorch's default `eps` is 1e-5.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let y = g.input(&[1.0, 3.0]).layer_norm(None, None, 0.0);
    /// assert_eq!(y.value()?, ndarray::array![-1.0, 1.0].into_dyn());
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn layer_norm(
        self,
        weight: Option<Var<'t, T>>,
        bias: Option<Var<'t, T>>,
        eps: f64,
    ) -> Var<'t, T> {
        let g = self.graph();
        let cols = match (weight, bias) {
            (Some(parameter), _) | (None, Some(parameter)) => parameter.shape().len(),
            (None, None) => self.shape().last().copied().unwrap_or(1),
        };
        let op = LayerNorm {
            cols,
            weight: weight.is_some(),
            bias: bias.is_some(),
            eps,
        };
        match (weight, bias) {
            (Some(w), Some(b)) => g.apply(op, &[self, w, b]),
            (Some(p), None) | (None, Some(p)) => g.apply(op, &[self, p]),
            (None, None) => g.apply(op, &[self]),
        }
    }
}
