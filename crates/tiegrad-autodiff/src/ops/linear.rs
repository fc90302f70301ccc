//! The affine map of a linear layer, in one op.

use tiegrad_arena::Shape;
use tiegrad_kernels::matmul::{Activation, Epilogue, Mat, MatMut, MatmulShape, matmul};
use tiegrad_kernels::{MAX_RANK, Scalar, Write, reduce};

use crate::error::Problem;
use crate::op::{ArgKind, Backward, Forward, Op, count};
use crate::sample::{ArgSpec, Sample};
use crate::var::Var;

/// y = x wᵀ + b, with x of shape (…, in), w of shape (out, in) and, if there is one, b of shape (out).
///
/// With N rows in all: dx = dy w, dw = dyᵀ x (straight into the slot), db = the column sums of dy.
///
/// ```
/// use tiegrad_autodiff::ops::Linear;
/// # let mut params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.record(&mut params);
/// let w = g.leaf((&[1.0, 2.0, 3.0, 4.0][..], [2, 2]));
/// let y = g.apply(Linear { bias: false }, &[g.input(&[1.0, 10.0]), w]);
/// assert_eq!(y.as_slice()?, Some(&[21.0, 43.0][..]));
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// Whether there is a third operand, the bias.
    pub bias: bool,
}

/// Rows, in_features, out_features.
fn sizes(x: &Shape, w: &Shape) -> MatmulShape {
    let (out_features, in_features) = (w[0], w[1]);
    // The usual rank without a loop.
    let rows = match **x {
        [rows, _] => rows,
        [ref rows @ .., _] => rows.iter().product(),
        [] => 1,
    };
    MatmulShape::new(rows, out_features, in_features)
}

/// A weight, which may be a transposed view.
fn matrix<T>(data: &[T], row: usize, col: usize) -> Mat<'_, T> {
    Mat {
        row,
        col,
        ..Mat::new(data, col)
    }
}

/// The affine map, with its activation where the product is written.
#[inline]
pub(super) fn forward<T: Scalar>(cx: &mut Forward<'_, '_, T>, bias: bool, activation: Activation) {
    let (x, w) = (cx.arg(0), cx.view(1));
    let s = sizes(cx.arg_shape(0), w.shape);
    let (row, col) = w.matrix();
    let mut epilogue = Epilogue::NONE.activation(activation);
    if bias {
        epilogue = epilogue.bias_per_column(cx.arg(2));
    }
    let (x, w) = (Mat::new(x, s.k), matrix(w.data, row, col));
    let y = MatMut::new(cx.out(), s.n);
    matmul(s, T::ONE, x, w.t(), T::ZERO, epilogue, y);
}

/// The rule, given the gradient of the affine map's result.
#[inline]
pub(super) fn backward<T: Scalar>(cx: &Backward<'_, '_, T>, bias: bool, dy: &[T]) {
    let (x, w) = (cx.arg(0), cx.view(1));
    let s = sizes(cx.arg_shape(0), w.shape);
    let (row, col) = w.matrix();
    let beta = |write| {
        if write == Write::Overwrite {
            T::ZERO
        } else {
            T::ONE
        }
    };
    let (x, w, dy_rows) = (
        Mat::new(x, s.k),
        matrix(w.data, row, col),
        Mat::new(dy, s.n),
    );
    cx.into(0, |dst| {
        let (beta, dx) = (beta(dst.write), MatMut::new(dst.data, s.k));
        let shape = MatmulShape::new(s.m, s.k, s.n);
        matmul(shape, T::ONE, dy_rows, w, beta, Epilogue::NONE, dx);
    });
    cx.into(1, |dst| {
        let ((row, col), beta) = (dst.matrix(), beta(dst.write));
        let dw = MatMut {
            row,
            col,
            ..MatMut::new(dst.data, s.k)
        };
        let shape = MatmulShape::new(s.n, s.k, s.m);
        matmul(shape, T::ONE, dy_rows.t(), x, beta, Epilogue::NONE, dw);
    });
    if bias {
        let (rows, sy) = ([s.m, s.n], [s.n, 1]);
        cx.into(2, |dst| {
            reduce::sum_to(
                dst.write,
                dst.data,
                &[0, 1],
                &rows,
                dy,
                &sy,
                &[],
                &sy,
                &[],
                &sy,
                |dy, _, _| dy,
            );
        });
    }
}

impl Op for Linear {
    const NAME: &'static str = "linear";

    fn arity(&self) -> Option<usize> {
        Some(2 + usize::from(self.bias))
    }

    fn kind(&self, i: usize) -> ArgKind {
        if i == 1 {
            ArgKind::Strided
        } else {
            ArgKind::Dense
        }
    }

    #[inline]
    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        let (x, w) = (args[0], args[1]);
        if w.rank() != 2 {
            return Err(Problem::Rank {
                what: "the weight",
                least: 2,
                most: 2,
                found: w.rank(),
            });
        }
        let rank = x.rank();
        if rank == 0 {
            return Err(Problem::Rank {
                what: "the input",
                least: 1,
                most: MAX_RANK,
                found: 0,
            });
        }
        if x[rank - 1] != w[1] {
            let what = "the input's last dimension (in_features)";
            return Err(Problem::Dim {
                what,
                expected: w[1],
                found: x[rank - 1],
            });
        }
        if self.bias && (args[2].rank(), args[2].len()) != (1, w[0]) {
            let what = "the bias's number of elements (out_features)";
            return Err(Problem::Dim {
                what,
                expected: w[0],
                found: args[2].len(),
            });
        }
        x.with(rank - 1, w[0]).ok_or(Problem::BadShape)
    }

    fn multiply_adds(&self, args: &[&Shape], out: &Shape) -> u64 {
        count([out.len(), args[1][1]])
    }

    #[inline]
    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        forward(cx, self.bias, Activation::None);
        Ok(())
    }

    #[inline]
    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        backward(cx, self.bias, cx.dy());
    }

    fn samples() -> Vec<Sample<Self>> {
        let v = |shape: &[usize]| ArgSpec::values(shape);
        vec![
            Sample::new(Linear { bias: true }, [v(&[3, 4]), v(&[2, 4]), v(&[2])]),
            Sample::new(Linear { bias: false }, [v(&[3, 4]), v(&[2, 4])]),
            Sample::new(Linear { bias: true }, [v(&[4]), v(&[2, 4]), v(&[2])]),
            Sample::new(Linear { bias: true }, [v(&[2, 3, 4]), v(&[5, 4]), v(&[5])]),
            Sample::new(Linear { bias: true }, [v(&[0, 4]), v(&[2, 4]), v(&[2])]),
            Sample::new(Linear { bias: true }, [v(&[3, 0]), v(&[2, 0]), v(&[2])]),
        ]
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// `self · weightᵀ + bias` over the last dimension: x (…, in), weight (out, in), bias (out), result (…, out). O(rows · in · out).
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let w = g.input((&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..], [3, 2]));
    /// let b = g.input(&[0.5, 0.5, 0.5]);
    /// assert_eq!(g.input(&[1.0, 1.0]).linear(w, Some(b)).value()?, ndarray::array![3.5, 7.5, 11.5].into_dyn());
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    #[inline]
    pub fn linear(self, weight: Var<'t, T>, bias: Option<Var<'t, T>>) -> Var<'t, T> {
        match bias {
            Some(bias) => self
                .graph()
                .apply(Linear { bias: true }, &[self, weight, bias]),
            None => self.graph().apply(Linear { bias: false }, &[self, weight]),
        }
    }
}
