//! Views: other eyes on the same numbers. Nothing is copied or computed, forward or backward: rules write through the strides.

use std::ops::Range;
use std::panic::Location;

use tiegrad_arena::{IntoShape, Shape};
use tiegrad_kernels::{MAX_RANK, Scalar};

use crate::error::Problem;
use crate::node::{Kind, Strides};
use crate::var::Var;

/// An axis given PyTorch's way: negative ones count from the end.
pub(crate) fn axis_of(axis: isize, rank: usize) -> Result<usize, Problem> {
    let positive = if axis < 0 {
        axis.checked_add_unsigned(rank)
    } else {
        Some(axis)
    };
    match positive.and_then(|axis| usize::try_from(axis).ok()) {
        Some(axis) if axis < rank => Ok(axis),
        _ => Err(Problem::Axis {
            axis: axis.unsigned_abs(),
            rank,
        }),
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    #[track_caller]
    #[cold]
    pub(crate) fn poisoned(self, op: &'static str, problem: Problem) -> Var<'t, T> {
        match self.node().kind {
            Kind::Poison(_) => self,
            _ => self
                .node()
                .core
                .poison(op, problem, &[self.node()], Location::caller()),
        }
    }

    /// A view, unless there is no number to look at.
    #[track_caller]
    #[inline]
    fn viewed(
        self,
        op: &'static str,
        make: impl FnOnce(&Shape, &Strides) -> Result<(Shape, Strides, usize), Problem>,
    ) -> Var<'t, T> {
        let node = self.node();
        match node.kind {
            Kind::Poison(_) => return self,
            Kind::Indices(_) => return self.poisoned(op, Problem::ExpectedValues { operand: 0 }),
            _ => {}
        }
        let strides = node
            .strides()
            .copied()
            .unwrap_or_else(|| node.shape.strides());
        match make(node.shape, &strides) {
            Ok((shape, strides, start)) => {
                self.graph()
                    .view(node, shape, strides, start, Location::caller())
            }
            Err(problem) => self.poisoned(op, problem),
        }
    }

    /// A matrix transposed; the last two dimensions of a batch of matrices. A view: `x.matmul(w.t())` reads and differentiates `w` through
    /// its strides, and a transposed use of a parameter is still that parameter.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let m = g.input((&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..], [2, 3]));
    /// assert_eq!(&**m.t().shape(), [3, 2]);
    /// assert_eq!(g.copies(), 0);
    /// ```
    #[track_caller]
    #[inline]
    pub fn t(self) -> Var<'t, T> {
        self.viewed("t", |shape, strides| {
            let rank = shape.rank();
            if rank < 2 {
                return Err(Problem::Rank {
                    what: "the operand",
                    least: 2,
                    most: MAX_RANK,
                    found: rank,
                });
            }
            swapped(shape, strides, rank - 2, rank - 1)
        })
    }

    /// Two dimensions exchanged. Negative axes count from the end.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(&**g.full([2, 3, 4], 0.0).transpose(0, -1).shape(), [4, 3, 2]);
    /// ```
    #[track_caller]
    pub fn transpose(self, a: isize, b: isize) -> Var<'t, T> {
        self.viewed("transpose", |shape, strides| {
            let rank = shape.rank();
            swapped(shape, strides, axis_of(a, rank)?, axis_of(b, rank)?)
        })
    }

    /// The dimensions in another order: dimension `i` of the result is dimension `order[i]` of the operand.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(&**g.full([2, 3, 4], 0.0).permute(&[2, 0, 1]).shape(), [4, 2, 3]);
    /// ```
    #[track_caller]
    pub fn permute(self, order: &[isize]) -> Var<'t, T> {
        self.viewed("permute", |shape, strides| {
            let rank = shape.rank();
            if order.len() != rank {
                return Err(Problem::Rank {
                    what: "the operand",
                    least: order.len(),
                    most: order.len(),
                    found: rank,
                });
            }
            let (mut dims, mut to, mut seen) = ([0; MAX_RANK], [0; MAX_RANK], [false; MAX_RANK]);
            for (i, &axis) in order.iter().enumerate() {
                let axis = axis_of(axis, rank)?;
                if std::mem::replace(&mut seen[axis], true) {
                    return Err(Problem::Axis { axis, rank });
                }
                (dims[i], to[i]) = (shape[axis], strides[axis]);
            }
            Ok((
                Shape::new(&dims[..rank]).map_err(|_| Problem::BadShape)?,
                to,
                0,
            ))
        })
    }

    /// The same numbers in another shape with as many elements. A view wherever the strides allow it, else a copy.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let m = g.input(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).reshape([2, 3]);
    /// assert_eq!(&**m.shape(), [2, 3]);
    /// ```
    #[track_caller]
    #[inline]
    pub fn reshape(self, shape: impl IntoShape) -> Var<'t, T> {
        let Ok(to) = shape.into_shape() else {
            return self.poisoned("reshape", Problem::BadShape);
        };
        let from = self.shape();
        if let (Kind::View(view), true) = (&self.node().kind, to.len() == from.len())
            && reshaped_strides(from, &view.strides, &to).is_none()
        {
            return self.contiguous().reshape(to);
        }
        self.viewed("reshape", |shape, strides| {
            if shape.len() != to.len() {
                return Err(Problem::Numel {
                    from: shape.len(),
                    to: to.len(),
                });
            }
            Ok((
                to,
                reshaped_strides(shape, strides, &to).unwrap_or(to.strides()),
                0,
            ))
        })
    }

    /// All dimensions in one.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(&**g.full([2, 3], 0.0).flatten().shape(), [6]);
    /// ```
    #[track_caller]
    pub fn flatten(self) -> Var<'t, T> {
        self.reshape(self.shape().len())
    }

    /// Elements `range` of one dimension.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let x = g.input(&[1.0, 2.0, 3.0, 4.0]).slice(0, 1..3);
    /// assert_eq!(x.sum().item()?, 5.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn slice(self, axis: isize, range: Range<usize>) -> Var<'t, T> {
        self.viewed("slice", |shape, strides| {
            let axis = axis_of(axis, shape.rank())?;
            let Range { start, end } = range;
            if start > end || end > shape[axis] {
                return Err(Problem::Range {
                    start,
                    end,
                    size: shape[axis],
                });
            }
            let to = shape.with(axis, end - start).ok_or(Problem::BadShape)?;
            Ok((
                to,
                *strides,
                if to.is_empty() {
                    0
                } else {
                    start * strides[axis]
                },
            ))
        })
    }

    /// One element of a dimension; the dimension goes away.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let m = g.input((&[1.0, 2.0, 3.0, 4.0][..], [2, 2]));
    /// assert_eq!(m.select(1, 0).value()?, ndarray::array![1.0, 3.0].into_dyn());
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn select(self, axis: isize, index: usize) -> Var<'t, T> {
        self.viewed("select", |shape, strides| {
            let axis = axis_of(axis, shape.rank())?;
            if index >= shape[axis] {
                return Err(Problem::Index {
                    index,
                    size: shape[axis],
                });
            }
            let (to, kept) = without(shape, strides, axis)?;
            Ok((
                to,
                kept,
                if to.is_empty() {
                    0
                } else {
                    index * strides[axis]
                },
            ))
        })
    }

    /// `N` equal parts along a dimension, as views.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let [q, k, v] = g.full([2, 12], 1.0).chunk::<3>(-1);
    /// assert_eq!(&**q.shape(), [2, 4]);
    /// ```
    #[track_caller]
    pub fn chunk<const N: usize>(self, axis: isize) -> [Var<'t, T>; N] {
        let size = axis_of(axis, self.shape().rank()).map_or(0, |axis| self.shape()[axis]);
        if N == 0 || !size.is_multiple_of(N) {
            let problem = Problem::Setting {
                what: "the number of parts must divide the dimension",
                value: N as f64,
            };
            return [self.poisoned("chunk", problem); N];
        }
        let part = size / N;
        let mut parts = [self; N];
        for (i, slot) in parts.iter_mut().enumerate() {
            *slot = self.slice(axis, i * part..(i + 1) * part);
        }
        parts
    }

    /// A new dimension of size 1 before dimension `axis` (`-1`: after the last).
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(&**g.full([2, 3], 0.0).unsqueeze(-1).shape(), [2, 3, 1]);
    /// ```
    #[track_caller]
    pub fn unsqueeze(self, axis: isize) -> Var<'t, T> {
        self.viewed("unsqueeze", |shape, strides| {
            let rank = shape.rank();
            let axis = axis_of(axis, rank + 1)?;
            if rank == MAX_RANK {
                return Err(Problem::BadShape);
            }
            let (mut dims, mut to) = (dims_of(shape), *strides);
            dims[axis..=rank].rotate_right(1);
            to[axis..=rank].rotate_right(1);
            (dims[axis], to[axis]) = (1, 0);
            Ok((
                Shape::new(&dims[..rank + 1]).map_err(|_| Problem::BadShape)?,
                to,
                0,
            ))
        })
    }

    /// Without a dimension of size 1.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(&**g.full([2, 1, 3], 0.0).squeeze(1).shape(), [2, 3]);
    /// ```
    #[track_caller]
    pub fn squeeze(self, axis: isize) -> Var<'t, T> {
        self.viewed("squeeze", |shape, strides| {
            let axis = axis_of(axis, shape.rank())?;
            if shape[axis] != 1 {
                return Err(Problem::Dim {
                    what: "the dimension to squeeze",
                    expected: 1,
                    found: shape[axis],
                });
            }
            let (to, kept) = without(shape, strides, axis)?;
            Ok((to, kept, 0))
        })
    }
}

fn dims_of(shape: &Shape) -> [usize; MAX_RANK] {
    let mut dims = [0; MAX_RANK];
    dims[..shape.rank()].copy_from_slice(shape);
    dims
}

#[inline]
fn swapped(
    shape: &Shape,
    strides: &Strides,
    a: usize,
    b: usize,
) -> Result<(Shape, Strides, usize), Problem> {
    let mut to = *strides;
    to.swap(a, b);
    Ok((shape.swapped(a, b).ok_or(Problem::BadShape)?, to, 0))
}

fn without(shape: &Shape, strides: &Strides, axis: usize) -> Result<(Shape, Strides), Problem> {
    let rank = shape.rank();
    let (mut dims, mut to) = (dims_of(shape), *strides);
    dims[axis..rank].rotate_left(1);
    to[axis..rank].rotate_left(1);
    to[rank - 1] = 0;
    Ok((
        Shape::new(&dims[..rank - 1]).map_err(|_| Problem::BadShape)?,
        to,
    ))
}

/// The strides that show numbers of shape `from` under `strides` as `to`, if there are such. Both have as many elements.
fn reshaped_strides(from: &Shape, strides: &Strides, to: &Shape) -> Option<Strides> {
    if from.is_empty() {
        return Some(to.strides());
    }
    let mut result = [0; MAX_RANK];
    // Runs of old dimensions whose strides nest, matched with runs of new ones that have as many elements, from the last.
    let (mut i, mut j) = (from.rank(), to.rank());
    while i > 0 || j > 0 {
        if i > 0 && from[i - 1] == 1 {
            i -= 1;
            continue;
        }
        if j > 0 && to[j - 1] == 1 {
            j -= 1;
            continue;
        }
        let mut stride = strides[i - 1];
        let (mut old, mut new) = (from[i - 1], to[j - 1]);
        let innermost = stride;
        i -= 1;
        j -= 1;
        result[j] = stride;
        stride *= new;
        while old != new {
            if new < old {
                j -= 1;
                result[j] = stride;
                stride *= to[j];
                new *= to[j];
            } else {
                i -= 1;
                if from[i] != 1 && strides[i] != innermost * old {
                    return None;
                }
                old *= from[i];
            }
        }
    }
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dims: &[usize], order: &[usize], to: &[usize]) -> bool {
        let shape = Shape::new(dims).unwrap();
        let own = shape.strides();
        let mut strides = [0; MAX_RANK];
        let permuted: Vec<usize> = order.iter().map(|&a| dims[a]).collect();
        for (i, &a) in order.iter().enumerate() {
            strides[i] = own[a];
        }
        let from = Shape::new(&permuted).unwrap();
        let to = Shape::new(to).unwrap();
        let positions = |shape: &Shape, strides: &Strides| {
            let mut all = vec![0];
            for (n, s) in shape.iter().zip(strides) {
                all = all
                    .iter()
                    .flat_map(|p| (0..*n).map(move |i| p + i * s))
                    .collect();
            }
            all
        };
        match reshaped_strides(&from, &strides, &to) {
            Some(result) => {
                assert_eq!(
                    positions(&to, &result),
                    positions(&from, &strides),
                    "{dims:?} {order:?} {to}"
                );
                true
            }
            None => false,
        }
    }

    #[test]
    fn reshape_without_a_copy() {
        assert!(check(&[2, 3, 4], &[0, 1, 2], &[6, 4]));
        assert!(check(&[2, 3, 4], &[0, 1, 2], &[2, 2, 3, 2]));
        assert!(check(&[2, 3, 4], &[2, 0, 1], &[4, 6]));
        assert!(check(&[2, 3, 4], &[2, 0, 1], &[2, 2, 1, 6]));
        assert!(check(&[2, 1, 4], &[1, 0, 2], &[8]));
        assert!(check(&[1, 1], &[1, 0], &[]));
        assert!(check(&[6, 4], &[0, 1], &[4, 6]));
    }

    #[test]
    fn reshape_that_needs_one() {
        assert!(!check(&[2, 3], &[1, 0], &[6]));
        assert!(!check(&[2, 3, 4], &[2, 0, 1], &[8, 3]));
    }
}
