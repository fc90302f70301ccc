//! Copies: into row-major order, and repeated along dimensions.

use tiegrad_arena::{IntoShape, Shape};
use tiegrad_kernels::{Scalar, elementwise, reduce};

use super::binary::broadcast_strides;
use crate::error::Problem;
use crate::op::{ArgKind, Backward, Forward, Op};
use crate::sample::{ArgSpec, Sample};
use crate::var::Var;

/// A copy in row-major order. The tape inserts it where an op wants such an operand and a view is not.
///
/// ```
/// use tiegrad_autodiff::ops::Contiguous;
/// # let mut params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.record(&mut params);
/// let t = g.input((&[1.0, 2.0, 3.0, 4.0][..], [2, 2])).t();
/// assert_eq!(t.as_slice()?, None); // a view, not in row-major order
/// assert_eq!(g.apply(Contiguous, &[t]).as_slice()?, Some(&[1.0, 3.0, 2.0, 4.0][..]));
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Contiguous;

impl Op for Contiguous {
    const NAME: &'static str = "contiguous";

    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn kind(&self, _: usize) -> ArgKind {
        ArgKind::Strided
    }

    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        Ok(*args[0])
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let (x, shape) = (cx.view(0), cx.shape());
        let rank = shape.rank();
        let (ds, ss) = (shape.strides(), x.strides());
        elementwise::copy_strided(
            cx.write(),
            cx.out(),
            &ds[..rank],
            x.data,
            &ss[..rank],
            shape,
        );
        Ok(())
    }

    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        let (dy, shape) = (cx.dy(), cx.shape());
        let rank = shape.rank();
        let ss = shape.strides();
        cx.into(0, |dst| {
            let ds = dst.strides();
            elementwise::copy_strided(dst.write, dst.data, &ds[..rank], dy, &ss[..rank], shape);
        });
    }

    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(Contiguous, [ArgSpec::values([2, 3, 4])]),
            Sample::new(Contiguous, [ArgSpec::values([])]),
        ]
    }
}

/// The operand repeated to a larger shape, by NumPy's broadcasting.
///
/// ```
/// use tiegrad_arena::Shape;
/// use tiegrad_autodiff::ops::BroadcastTo;
/// # let mut params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.record(&mut params);
/// let x = g.leaf(&[1.0, 2.0]);
/// let rows = g.apply(BroadcastTo(Shape::new(&[3, 2])?), &[x]);
/// assert_eq!(rows.sum().backward()?, 9.0);
/// assert_eq!(x.grad()?, Some(ndarray::array![3.0, 3.0].into_dyn())); // each was there three times
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BroadcastTo(pub Shape);

impl Op for BroadcastTo {
    const NAME: &'static str = "broadcast_to";

    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        match super::binary::broadcast(args[0], &self.0) {
            Ok(shape) if shape == self.0 => Ok(shape),
            _ => Err(Problem::Broadcast),
        }
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let (x, shape) = (cx.arg(0), cx.shape());
        let rank = shape.rank();
        let (ds, ss) = (shape.strides(), broadcast_strides(cx.arg_shape(0), shape));
        elementwise::copy_strided(cx.write(), cx.out(), &ds[..rank], x, &ss[..rank], shape);
        Ok(())
    }

    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        let (dy, shape) = (cx.dy(), cx.shape());
        let rank = shape.rank();
        let strides = broadcast_strides(cx.arg_shape(0), shape);
        let (ds, sy) = (&strides[..rank], &shape.strides()[..rank]);
        cx.into(0, |dst| {
            reduce::sum_to(
                dst.write,
                dst.data,
                ds,
                shape,
                dy,
                sy,
                &[],
                sy,
                &[],
                sy,
                |dy, _, _| dy,
            )
        });
    }

    fn samples() -> Vec<Sample<Self>> {
        let sample = |from: &[usize], to: &[usize]| {
            Shape::new(to)
                .ok()
                .map(|to| Sample::new(BroadcastTo(to), [ArgSpec::values(from)]))
        };
        [
            sample(&[3, 1], &[2, 3, 4]),
            sample(&[], &[2, 2]),
            sample(&[4], &[3, 4]),
            sample(&[1], &[0]),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// A copy in row-major order. Ops that need one make it by themselves.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let m = g.input((&[1.0, 2.0, 3.0, 4.0][..], [2, 2])).t().contiguous();
    /// assert_eq!(m.as_slice()?, Some(&[1.0, 3.0, 2.0, 4.0][..]));
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn contiguous(self) -> Var<'t, T> {
        self.graph().apply(Contiguous, &[self])
    }

    /// Repeated to a larger shape, by NumPy's broadcasting. The gradient is the sum over the repetitions.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(g.input(&[1.0, 2.0]).broadcast_to([3, 2]).sum().item()?, 9.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn broadcast_to(self, shape: impl IntoShape) -> Var<'t, T> {
        match shape.into_shape() {
            Ok(shape) => self.graph().apply(BroadcastTo(shape), &[self]),
            Err(_) => self.poisoned("broadcast_to", Problem::BadShape),
        }
    }
}
