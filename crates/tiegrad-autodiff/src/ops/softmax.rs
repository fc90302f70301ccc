//! Softmax and its logarithm.

use tiegrad_arena::Shape;
use tiegrad_kernels::{Scalar, rows};

use super::view::axis_of;
use crate::error::Problem;
use crate::op::{Backward, Forward, Op};
use crate::sample::{ArgSpec, Sample};
use crate::var::Var;

fn last(shape: &Shape) -> usize {
    shape.last().copied().unwrap_or(1)
}

macro_rules! row_op {
    ($(#[doc = $doc:literal])+ $type:ident, $name:literal, $method:ident, $forward:path, $backward:path, $sum:literal) => {
        $(#[doc = $doc])+
        ///
        /// ```
        /// use tiegrad_autodiff::ops;
        /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
        #[doc = concat!("let y = g.apply(ops::", stringify!($type), ", &[g.input(&[0.0, 0.0])]);")]
        #[doc = concat!("assert!((y.sum().item()? - (", $sum, ")).abs() < 1e-12);")]
        /// # Ok::<(), tiegrad_autodiff::Error>(())
        /// ```
        #[derive(Clone, Copy, Debug)]
        pub struct $type;

        impl Op for $type {
            const NAME: &'static str = $name;

            fn arity(&self) -> Option<usize> {
                Some(1)
            }

            fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
                Ok(*args[0])
            }

            fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
                let (x, cols) = (cx.arg(0), last(cx.shape()));
                $forward(cx.out(), x, cols);
                Ok(())
            }

            fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
                let (y, dy, cols) = (cx.out(), cx.dy(), last(cx.shape()));
                cx.into(0, |dst| $backward(dst.write, dst.data, y, dy, cols));
            }

            fn samples() -> Vec<Sample<Self>> {
                let shapes: [&[usize]; 5] = [&[3, 4], &[2, 2, 3], &[5], &[], &[2, 0]];
                shapes.map(|shape| Sample::new($type, [ArgSpec::values(shape)])).into()
            }
        }

        impl<'t, T: Scalar> Var<'t, T> {
            $(#[doc = $doc])+
            ///
            /// Over one axis; negative ones count from the end. Over the last axis there is no copy.
            ///
            /// ```
            /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new();
            /// # let g = tape.eval(&params);
            #[doc = concat!("let y = g.input(&[0.0, 0.0]).", stringify!($method), "(-1);")]
            #[doc = concat!("assert!((y.sum().item()? - (", $sum, ")).abs() < 1e-12);")]
            /// # Ok::<(), tiegrad_autodiff::Error>(())
            /// ```
            #[track_caller]
            pub fn $method(self, axis: isize) -> Var<'t, T> {
                let rank = self.shape().rank();
                match axis_of(axis, rank.max(1)) {
                    Ok(axis) if axis + 1 == rank.max(1) => self.graph().apply($type, &[self]),
                    Ok(axis) => {
                        let axis = axis as isize;
                        self.graph().apply($type, &[self.transpose(axis, -1)]).transpose(axis, -1)
                    }
                    Err(problem) => self.poisoned($name, problem),
                }
            }
        }
    };
}

row_op! {
    /// exp(x) / Σ exp(x), computed from x - max x. With y = softmax(x): dx = y (dy - Σ y dy).
    Softmax, "softmax", softmax, rows::softmax, rows::softmax_backward, "1.0"
}

row_op! {
    /// x - ln Σ exp(x), computed from x - max x. With y = log_softmax(x): dx = dy - exp(y) Σ dy.
    LogSoftmax, "log_softmax", log_softmax, rows::log_softmax, rows::log_softmax_backward, "-2.0 * 2.0_f64.ln()"
}
