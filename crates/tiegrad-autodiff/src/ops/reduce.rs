//! Reductions: sum, mean, maximum, minimum.

use tiegrad_arena::Shape;
use tiegrad_kernels::{MAX_RANK, Scalar, Write, elementwise, reduce};

use super::view::axis_of;
use crate::error::Problem;
use crate::op::{Backward, Forward, Op};
use crate::sample::{ArgSpec, Sample};
use crate::var::Var;

/// Which axes a reduction runs over, as bits (axis 0 is bit 0), and whether they stay as dimensions of size 1.
#[derive(Clone, Copy, Debug)]
struct Axes {
    bits: u8,
    keepdim: bool,
}

impl Axes {
    const ALL: Axes = Axes {
        bits: !0,
        keepdim: false,
    };

    fn of(axes: &[isize], rank: usize, keepdim: bool) -> Result<Axes, Problem> {
        let mut bits = 0_u8;
        for &axis in axes {
            let axis = axis_of(axis, rank)?;
            if bits & (1 << axis) != 0 {
                return Err(Problem::Axis { axis, rank });
            }
            bits |= 1 << axis;
        }
        Ok(Axes { bits, keepdim })
    }

    fn contains(self, axis: usize) -> bool {
        self.bits & (1 << axis) != 0
    }

    fn reduce(self, shape: &Shape) -> Result<Shape, Problem> {
        let (mut dims, mut rank) = ([0; MAX_RANK], 0);
        for (axis, &n) in shape.iter().enumerate() {
            if !self.contains(axis) || self.keepdim {
                dims[rank] = if self.contains(axis) { 1 } else { n };
                rank += 1;
            }
        }
        Shape::new(&dims[..rank]).map_err(|_| Problem::BadShape)
    }

    /// The strides of the row-major result, seen as the operand: 0 along what is reduced.
    fn strides(self, shape: &Shape) -> [usize; MAX_RANK] {
        let (mut strides, mut stride) = ([0; MAX_RANK], 1);
        for axis in (0..shape.rank()).rev() {
            if !self.contains(axis) {
                strides[axis] = stride;
                stride *= shape[axis];
            }
        }
        strides
    }

    /// How many elements go into one.
    fn count(self, shape: &Shape) -> usize {
        shape
            .iter()
            .enumerate()
            .filter(|(axis, _)| self.contains(*axis))
            .map(|(_, n)| n)
            .product()
    }
}

/// The sum over some axes. dx = dy, repeated.
///
/// ```
/// # let mut params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.record(&mut params);
/// let x = g.leaf(&[1.0, 2.0, 3.0]);
/// assert_eq!(x.sum().backward()?, 6.0);
/// assert_eq!(x.grad()?, Some(ndarray::array![1.0, 1.0, 1.0].into_dyn()));
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Sum(Axes);

impl Op for Sum {
    const NAME: &'static str = "sum";

    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        self.0.reduce(args[0])
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let (x, shape) = (cx.arg(0), cx.arg_shape(0));
        let rank = shape.rank();
        let (ds, ss) = (self.0.strides(shape), shape.strides());
        let (ds, ss) = (&ds[..rank], &ss[..rank]);
        reduce::sum_to(
            cx.write(),
            cx.out(),
            ds,
            shape,
            x,
            ss,
            &[],
            ss,
            &[],
            ss,
            |x, _, _| x,
        );
        Ok(())
    }

    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        let shape = cx.arg_shape(0);
        let rank = shape.rank();
        let from = self.0.strides(shape);
        cx.into(0, |dst| {
            let ds = dst.strides();
            elementwise::copy_strided(
                dst.write,
                dst.data,
                &ds[..rank],
                cx.dy(),
                &from[..rank],
                shape,
            );
        });
    }

    fn samples() -> Vec<Sample<Self>> {
        let sample = |bits, keepdim, shape: &[usize]| {
            Sample::new(Sum(Axes { bits, keepdim }), [ArgSpec::values(shape)])
        };
        vec![
            sample(!0, false, &[3, 4]),
            sample(0b01, false, &[3, 4]),
            sample(0b10, true, &[3, 4]),
            sample(0b101, false, &[2, 3, 4]),
            sample(0b010, true, &[2, 3, 4]),
            sample(0, false, &[2, 3]),
            sample(!0, false, &[]),
            sample(0b01, false, &[0, 3]),
        ]
    }
}

/// The maximum over some axes. Where several elements are the maximum, each gets an equal share of dy, as PyTorch's `amax` does.
///
/// ```
/// # let mut params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.record(&mut params);
/// let x = g.leaf(&[1.0, 3.0, 3.0]);
/// assert_eq!(x.max().backward()?, 3.0);
/// assert_eq!(x.grad()?, Some(ndarray::array![0.0, 0.5, 0.5].into_dyn()));
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Amax(Axes);

impl Op for Amax {
    const NAME: &'static str = "amax";

    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        let shape = self.0.reduce(args[0])?;
        if self.0.count(args[0]) == 0 && !shape.is_empty() {
            Err(Problem::Empty)
        } else {
            Ok(shape)
        }
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let (x, shape) = (cx.arg(0), cx.arg_shape(0));
        let rank = shape.rank();
        reduce::max_to(
            cx.out(),
            &self.0.strides(shape)[..rank],
            shape,
            x,
            &shape.strides()[..rank],
        );
        Ok(())
    }

    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        let (x, y, dy, shape) = (cx.arg(0), cx.out(), cx.dy(), cx.arg_shape(0));
        let rank = shape.rank();
        let (sy, sx) = (self.0.strides(shape), shape.strides());
        let (sy, sx) = (&sy[..rank], &sx[..rank]);
        let hit = |x: T, y: T| {
            if x == y || (x.is_nan() && y.is_nan()) {
                T::ONE
            } else {
                T::ZERO
            }
        };
        cx.into(0, |dst| {
            cx.with_scratch(y.len(), |share| {
                reduce::sum_to(
                    Write::Overwrite,
                    share,
                    sy,
                    shape,
                    x,
                    sx,
                    y,
                    sy,
                    y,
                    sy,
                    |x, y, _| hit(x, y),
                );
                for (share, &dy) in share.iter_mut().zip(dy) {
                    *share = dy / *share;
                }
                // Nothing is summed here: the destination has the operand's shape.
                reduce::sum_to(
                    dst.write,
                    dst.data,
                    sx,
                    shape,
                    x,
                    sx,
                    y,
                    sy,
                    share,
                    sy,
                    |x, y, share| hit(x, y) * share,
                );
            });
        });
    }

    fn samples() -> Vec<Sample<Self>> {
        let sample = |bits, keepdim, shape: &[usize]| {
            Sample::new(
                Amax(Axes { bits, keepdim }),
                [ArgSpec::values(shape).all_distinct()],
            )
        };
        vec![
            sample(!0, false, &[3, 4]),
            sample(0b01, false, &[3, 4]),
            sample(0b10, true, &[3, 4]),
            sample(0b101, false, &[2, 3, 4]),
            sample(0b10, false, &[0, 3]),
        ]
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    #[track_caller]
    fn over(self, op: &'static str, axes: &[isize], keepdim: bool) -> Result<Axes, Var<'t, T>> {
        Axes::of(axes, self.shape().rank(), keepdim).map_err(|problem| self.poisoned(op, problem))
    }

    /// The sum of all elements, in a fixed order that does not depend on the number of threads.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(g.input(&[1.0, 2.0, 3.0]).sum().item()?, 6.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn sum(self) -> Var<'t, T> {
        self.graph().apply(Sum(Axes::ALL), &[self])
    }

    /// The sum over some axes (negative ones count from the end). With `keepdim` they stay as dimensions of size 1.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let m = g.input((&[1.0, 2.0, 3.0, 4.0][..], [2, 2]));
    /// assert_eq!(m.sum_dim(&[-1], false).value()?, ndarray::array![3.0, 7.0].into_dyn());
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn sum_dim(self, axes: &[isize], keepdim: bool) -> Var<'t, T> {
        match self.over("sum", axes, keepdim) {
            Ok(axes) => self.graph().apply(Sum(axes), &[self]),
            Err(poisoned) => poisoned,
        }
    }

    /// The mean of all elements; NaN of none, as in PyTorch.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(g.input(&[1.0, 2.0, 3.0]).mean().item()?, 2.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn mean(self) -> Var<'t, T> {
        self.sum().affine(1.0 / self.shape().len() as f64, 0.0)
    }

    /// The mean over some axes. With `keepdim` they stay as dimensions of size 1.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let m = g.input((&[1.0, 2.0, 3.0, 4.0][..], [2, 2]));
    /// assert_eq!(m.mean_dim(&[0], true).value()?, ndarray::array![[2.0, 3.0]].into_dyn());
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn mean_dim(self, axes: &[isize], keepdim: bool) -> Var<'t, T> {
        match self.over("mean", axes, keepdim) {
            Ok(axes) => {
                let count = axes.count(self.shape()) as f64;
                self.graph()
                    .apply(Sum(axes), &[self])
                    .affine(1.0 / count, 0.0)
            }
            Err(poisoned) => poisoned,
        }
    }

    /// The largest element. Several equal ones share the gradient.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(g.input(&[1.0, 3.0, 2.0]).max().item()?, 3.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn max(self) -> Var<'t, T> {
        self.graph().apply(Amax(Axes::ALL), &[self])
    }

    /// The smallest element. Several equal ones share the gradient.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(g.input(&[1.0, 3.0, 2.0]).min().item()?, 1.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn min(self) -> Var<'t, T> {
        -(-self).max()
    }

    /// The largest element over some axes (PyTorch's `amax`). With `keepdim` they stay as dimensions of size 1.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let m = g.input((&[1.0, 2.0, 4.0, 3.0][..], [2, 2]));
    /// assert_eq!(m.amax(&[1], false).value()?, ndarray::array![2.0, 4.0].into_dyn());
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn amax(self, axes: &[isize], keepdim: bool) -> Var<'t, T> {
        match self.over("amax", axes, keepdim) {
            Ok(axes) => self.graph().apply(Amax(axes), &[self]),
            Err(poisoned) => poisoned,
        }
    }

    /// The smallest element over some axes (PyTorch's `amin`). With `keepdim` they stay as dimensions of size 1.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let m = g.input((&[1.0, 2.0, 4.0, 3.0][..], [2, 2]));
    /// assert_eq!(m.amin(&[1], false).value()?, ndarray::array![1.0, 3.0].into_dyn());
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn amin(self, axes: &[isize], keepdim: bool) -> Var<'t, T> {
        -(-self).amax(axes, keepdim)
    }
}
