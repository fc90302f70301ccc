//! Concatenation and stacking.

use tiegrad_arena::Shape;
use tiegrad_kernels::{MAX_RANK, Scalar, Write, elementwise};

use super::view::axis_of;
use crate::error::Problem;
use crate::graph::Graph;
use crate::op::{ArgKind, Backward, Forward, Op};
use crate::sample::{ArgSpec, Sample};
use crate::var::Var;

/// Operands one after the other along an axis. The gradient of each is its part of dy.
///
/// ```
/// # let mut params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.record(&mut params);
/// let (a, b) = (g.leaf(&[1.0, 2.0]), g.leaf(&[3.0]));
/// g.concat(&[a, b], 0).square().sum().backward()?;
/// assert_eq!(b.grad()?, Some(ndarray::array![6.0].into_dyn()));
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Concat {
    axis: isize,
}

impl Op for Concat {
    const NAME: &'static str = "concat";

    fn arity(&self) -> Option<usize> {
        None
    }

    fn kind(&self, _: usize) -> ArgKind {
        ArgKind::Strided
    }

    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        let [first, rest @ ..] = args else {
            return Err(Problem::Empty);
        };
        let rank = first.rank();
        let axis = axis_of(self.axis, rank)?;
        let mut dims = [0; MAX_RANK];
        dims[..rank].copy_from_slice(first);
        for other in rest {
            let fits = other.rank() == rank && (0..rank).all(|i| i == axis || other[i] == first[i]);
            if !fits {
                return Err(Problem::ShapesDiffer);
            }
            dims[axis] += other[axis];
        }
        Shape::new(&dims[..rank]).map_err(|_| Problem::BadShape)
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let (strides, rank) = (cx.shape().strides(), cx.shape().rank());
        let axis = axis_of(self.axis, rank)?;
        let mut start = 0;
        for i in 0..cx.args() {
            let x = cx.view(i);
            if !x.shape.is_empty() {
                let (out, from) = (&mut cx.out()[start * strides[axis]..], x.strides());
                elementwise::copy_strided(
                    Write::Overwrite,
                    out,
                    &strides[..rank],
                    x.data,
                    &from[..rank],
                    x.shape,
                );
            }
            start += x.shape[axis];
        }
        Ok(())
    }

    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        let (strides, rank) = (cx.shape().strides(), cx.shape().rank());
        let Ok(axis) = axis_of(self.axis, rank) else {
            return;
        };
        let mut start = 0;
        for i in 0..cx.args() {
            let shape = cx.arg_shape(i);
            let from = (start * strides[axis]).min(cx.dy().len());
            start += shape[axis];
            cx.into(i, |dst| {
                let (dy, to) = (&cx.dy()[from..], dst.strides());
                elementwise::copy_strided(
                    dst.write,
                    dst.data,
                    &to[..rank],
                    dy,
                    &strides[..rank],
                    shape,
                );
            });
        }
    }

    fn samples() -> Vec<Sample<Self>> {
        let v = |shape: &[usize]| ArgSpec::values(shape);
        vec![
            Sample::new(Concat { axis: 0 }, [v(&[2, 3]), v(&[1, 3])]),
            Sample::new(
                Concat { axis: -1 },
                [v(&[2, 3]), v(&[2, 1]), v(&[2, 0]), v(&[2, 2]), v(&[2, 1])],
            ),
            Sample::new(Concat { axis: 1 }, [v(&[2, 1, 2]), v(&[2, 3, 2])]),
        ]
    }
}

impl<'t, T: Scalar> Graph<'t, T> {
    /// Vars one after the other along an axis; the other dimensions must agree. Copies once. PyTorch's `cat`.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let x = g.concat(&[g.input(&[1.0, 2.0]), g.input(&[3.0])], 0);
    /// assert_eq!(x.as_slice()?, Some(&[1.0, 2.0, 3.0][..]));
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn concat(self, vars: &[Var<'t, T>], axis: isize) -> Var<'t, T> {
        self.apply(Concat { axis }, vars)
    }

    /// Vars of equal shape along a new axis.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let x = g.stack(&[g.input(&[1.0, 2.0]), g.input(&[3.0, 4.0])], 0);
    /// assert_eq!(&**x.shape(), [2, 2]);
    /// ```
    #[track_caller]
    pub fn stack(self, vars: &[Var<'t, T>], axis: isize) -> Var<'t, T> {
        let rank = vars.first().map_or(0, |first| first.shape().rank());
        let axis = axis_of(axis, rank + 1).map_or(axis, |axis| axis as isize);
        self.apply_each(Concat { axis }, vars, |v| v.unsqueeze(axis))
    }
}
