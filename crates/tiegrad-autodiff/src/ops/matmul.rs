//! Matrix products, plain and batched, over any strides.

use tiegrad_arena::Shape;
use tiegrad_kernels::matmul::{Epilogue, Mat, MatMut, MatmulShape, matmul};
use tiegrad_kernels::{MAX_RANK, Scalar, Write};

use super::binary::broadcast;
use crate::error::Problem;
use crate::op::{ArgKind, Backward, Dst, Forward, Op, View, count};
use crate::sample::{ArgSpec, Sample};
use crate::var::Var;

/// a · b over the last two dimensions; dimensions before them are a batch and broadcast. Both operands and both gradients go through strides, so
/// transposed and sliced uses copy nothing.
///
/// With y = a b: da = dy bᵀ, db = aᵀ dy.
///
/// ```
/// use tiegrad_autodiff::ops::Matmul;
/// # let mut params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.record(&mut params);
/// let a = g.leaf((&[1.0, 2.0][..], [1, 2]));
/// assert_eq!(g.apply(Matmul, &[a, a.t()]).sum().backward()?, 5.0);
/// assert_eq!(a.grad()?, Some(ndarray::array![[2.0, 4.0]].into_dyn())); // both uses
/// assert_eq!(g.copies(), 0);
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Matmul;

impl Op for Matmul {
    const NAME: &'static str = "matmul";

    fn arity(&self) -> Option<usize> {
        Some(2)
    }

    fn kind(&self, _: usize) -> ArgKind {
        ArgKind::Strided
    }

    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        let (a, b) = (args[0], args[1]);
        for (shape, what) in [(a, "the left operand"), (b, "the right operand")] {
            if shape.rank() < 2 {
                return Err(Problem::Rank {
                    what,
                    least: 2,
                    most: MAX_RANK,
                    found: shape.rank(),
                });
            }
        }
        let (ra, rb) = (a.rank(), b.rank());
        if a[ra - 1] != b[rb - 2] {
            let what = "the second to last dimension of the right operand";
            return Err(Problem::Dim {
                what,
                expected: a[ra - 1],
                found: b[rb - 2],
            });
        }
        if ra == 2 && rb == 2 {
            return Shape::new(&[a[0], b[1]]).map_err(|_| Problem::BadShape);
        }
        let lead = |s: &Shape| Shape::new(&s[..s.rank() - 2]).map_err(|_| Problem::BadShape);
        let batch = broadcast(&lead(a)?, &lead(b)?)?;
        let mut dims = [0; MAX_RANK];
        dims[..batch.rank()].copy_from_slice(&batch);
        dims[batch.rank()] = a[ra - 2];
        dims[batch.rank() + 1] = b[rb - 1];
        Shape::new(&dims[..batch.rank() + 2]).map_err(|_| Problem::BadShape)
    }

    fn multiply_adds(&self, args: &[&Shape], out: &Shape) -> u64 {
        count([out.len(), args[0].last().copied().unwrap_or(0)])
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let (a, b, shape) = (Side::of(cx.view(0)), Side::of(cx.view(1)), cx.shape());
        product(&a, &b, Dst::new(cx.out(), shape, None, Write::Overwrite));
        Ok(())
    }

    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        let (a, b, dy) = (
            cx.view(0),
            cx.view(1),
            Side::of(View::dense(cx.dy(), cx.shape())),
        );
        cx.into(0, |dst| product(&dy, &Side::of(b).transposed(), dst));
        cx.into(1, |dst| product(&Side::of(a).transposed(), &dy, dst));
    }

    fn samples() -> Vec<Sample<Self>> {
        let shapes: [[&[usize]; 2]; 9] = [
            [&[3, 4], &[4, 2]],
            [&[1, 1], &[1, 1]],
            [&[2, 3, 4], &[2, 4, 2]],
            [&[2, 3, 4], &[4, 2]],
            [&[3, 4], &[2, 4, 2]],
            [&[2, 1, 3, 4], &[3, 4, 2]],
            [&[2, 2, 2, 3, 4], &[1, 2, 1, 4, 2]],
            [&[3, 0], &[0, 2]],
            [&[0, 3], &[3, 2]],
        ];
        shapes
            .map(|[a, b]| Sample::new(Matmul, [ArgSpec::values(a), ArgSpec::values(b)]))
            .into()
    }
}

/// One factor of a product: a batch of matrices.
struct Side<'a, T> {
    data: &'a [T],
    batch: &'a [usize],
    batch_strides: [usize; MAX_RANK],
    rows: usize,
    cols: usize,
    row: usize,
    col: usize,
}

impl<'a, T> Side<'a, T> {
    #[inline]
    fn of(x: View<'a, T>) -> Side<'a, T> {
        let (row, col) = x.matrix();
        let Some((batch, &[rows, cols])) = x.shape.dims().split_last_chunk::<2>() else {
            // The shapes were checked: both have two dimensions or more.
            return Side {
                data: x.data,
                batch: &[],
                batch_strides: [0; MAX_RANK],
                rows: 0,
                cols: 0,
                row,
                col,
            };
        };
        let batch_strides = if batch.is_empty() {
            [0; MAX_RANK]
        } else {
            x.strides()
        };
        Side {
            data: x.data,
            batch,
            batch_strides,
            rows,
            cols,
            row,
            col,
        }
    }

    #[inline]
    fn transposed(self) -> Side<'a, T> {
        Side {
            rows: self.cols,
            cols: self.rows,
            row: self.col,
            col: self.row,
            ..self
        }
    }

    #[inline]
    fn mat(&self) -> Mat<'a, T> {
        Mat {
            data: self.data,
            row: self.row,
            col: self.col,
            batch: [0, 0],
        }
    }
}

/// `dst (+)= a · b`, where the batch dimensions of `a`, `b` and `dst` broadcast against each other; those that `dst` lacks are summed.
#[inline]
fn product<T: Scalar>(a: &Side<'_, T>, b: &Side<'_, T>, dst: Dst<'_, T>) {
    let beta = match dst.write {
        Write::Overwrite => T::ZERO,
        Write::Accumulate => T::ONE,
    };
    let one = MatmulShape {
        batch: [1, 1],
        m: a.rows,
        n: b.cols,
        k: a.cols,
    };
    let (row, col) = dst.matrix();
    let target = &dst.shape[..dst.shape.rank() - 2];
    if a.batch.is_empty() && b.batch.is_empty() && target.is_empty() {
        let c = MatMut {
            data: dst.data,
            row,
            col,
            batch: [0, 0],
        };
        return matmul(one, T::ONE, a.mat(), b.mat(), beta, Epilogue::NONE, c);
    }

    // As many dimensions as the longest has; a stride of 0 repeats an operand, and in `dst` means a sum.
    let rank = a.batch.len().max(b.batch.len()).max(target.len());
    let dst_strides = dst.strides();
    let mut batch = Batch {
        sizes: [1; MAX_RANK],
        a: [0; MAX_RANK],
        b: [0; MAX_RANK],
        dst: [0; MAX_RANK],
    };
    for (sizes, strides, to) in [
        (a.batch, &a.batch_strides, &mut batch.a),
        (b.batch, &b.batch_strides, &mut batch.b),
        (target, &dst_strides, &mut batch.dst),
    ] {
        let lead = rank - sizes.len();
        for (i, &n) in sizes.iter().enumerate() {
            if n != 1 {
                batch.sizes[lead + i] = n;
                to[lead + i] = strides[i];
            }
        }
    }
    batch.run(rank, one, a.mat(), b.mat(), dst.data, (row, col), beta);
}

/// The batch dimensions of a product: their sizes, and each operand's strides.
struct Batch {
    sizes: [usize; MAX_RANK],
    a: [usize; MAX_RANK],
    b: [usize; MAX_RANK],
    dst: [usize; MAX_RANK],
}

impl Batch {
    fn run<T: Scalar>(
        mut self,
        rank: usize,
        mut one: MatmulShape,
        mut a: Mat<'_, T>,
        mut b: Mat<'_, T>,
        dst: &mut [T],
        (row, col): (usize, usize),
        beta: T,
    ) {
        if self.sizes[..rank].contains(&0) {
            // Nothing to multiply; a sum over nothing is 0.
            if beta == T::ZERO {
                dst.fill(T::ZERO);
            }
            return;
        }
        let rank = self.compress(rank);
        let summed = |i: usize| self.dst[i] == 0 && self.sizes[i] > 1;
        // Dimensions before `split` are looped over here, those from it on are `one`'s batch.
        let (mut split, mut dst_batch) = (rank, [0, 0]);

        // One dimension that folds into the rows (`x[b, t, :] · w`) or, summed, into the inner dimension (`Σ_b xᵀ dy`): one large product.
        if rank == 1 && self.b[0] == 0 && self.a[0] == a.row * one.m && self.dst[0] == row * one.m {
            one.m *= self.sizes[0];
            split = 0;
        } else if rank == 1 && summed(0) && self.a[0] == a.col * one.k && self.b[0] == b.row * one.k
        {
            one.k *= self.sizes[0];
            split = 0;
        } else {
            // Up to two dimensions go to the kernel, which splits them over threads; the rest is a loop here.
            for slot in (0..2).rev() {
                if split > 0 && !summed(split - 1) {
                    split -= 1;
                    one.batch[slot] = self.sizes[split];
                    (a.batch[slot], b.batch[slot], dst_batch[slot]) =
                        (self.a[split], self.b[split], self.dst[split]);
                } else {
                    break;
                }
            }
        }

        let mut index = [0; MAX_RANK];
        loop {
            let at = |strides: &[usize; MAX_RANK]| -> usize {
                index[..split]
                    .iter()
                    .zip(strides)
                    .map(|(i, stride)| i * stride)
                    .sum()
            };
            let first = (0..split).all(|i| !summed(i) || index[i] == 0);
            let beta = if first { beta } else { T::ONE };
            // Without elements (a dimension of size 0) there is nothing to begin at.
            let start = at(&self.dst).min(dst.len());
            let c = MatMut {
                data: &mut dst[start..],
                row,
                col,
                batch: dst_batch,
            };
            let a = Mat {
                data: &a.data[at(&self.a).min(a.data.len())..],
                ..a
            };
            let b = Mat {
                data: &b.data[at(&self.b).min(b.data.len())..],
                ..b
            };
            matmul(one, T::ONE, a, b, beta, Epilogue::NONE, c);
            let Some(i) = (0..split).rev().find(|&i| index[i] + 1 < self.sizes[i]) else {
                break;
            };
            index[i] += 1;
            index[i + 1..split].fill(0);
        }
    }

    /// Drops dimensions of size 1 and joins neighbours that are one dimension for all three. Gives the new rank.
    fn compress(&mut self, rank: usize) -> usize {
        let mut kept = 0;
        for i in 0..rank {
            if self.sizes[i] == 1 {
                continue;
            }
            let nests = |s: &[usize; MAX_RANK]| s[kept.max(1) - 1] == s[i] * self.sizes[i];
            if kept > 0 && nests(&self.a) && nests(&self.b) && nests(&self.dst) {
                self.sizes[kept - 1] *= self.sizes[i];
                for s in [&mut self.a, &mut self.b, &mut self.dst] {
                    s[kept - 1] = s[i];
                }
            } else {
                self.sizes[kept] = self.sizes[i];
                for s in [&mut self.a, &mut self.b, &mut self.dst] {
                    s[kept] = s[i];
                }
                kept += 1;
            }
        }
        kept
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// The matrix product, with PyTorch's rules: matrices; batches of matrices, which broadcast; a vector on the left is a row, one on the right a
    /// column, and that dimension is not in the result. Any strides, no copies. O(batch · m · n · k).
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let m = g.input((&[1.0, 2.0, 3.0, 4.0][..], [2, 2]));
    /// let v = g.input(&[1.0, -1.0]);
    /// assert_eq!(m.matmul(v).value()?, ndarray::array![-1.0, -1.0].into_dyn());
    /// assert_eq!(m.matmul(m.t()).value()?, ndarray::array![[5.0, 11.0], [11.0, 25.0]].into_dyn());
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    #[inline]
    pub fn matmul(self, other: Var<'t, T>) -> Var<'t, T> {
        let g = self.graph();
        match (self.error_free_rank(), other.error_free_rank()) {
            (Some(1), Some(1)) => g
                .apply(Matmul, &[self.unsqueeze(0), other.unsqueeze(1)])
                .reshape(Shape::SCALAR),
            (Some(1), _) => g.apply(Matmul, &[self.unsqueeze(0), other]).squeeze(-2),
            (_, Some(1)) => g.apply(Matmul, &[self, other.unsqueeze(1)]).squeeze(-1),
            _ => g.apply(Matmul, &[self, other]),
        }
    }

    /// The rank of a Var that has values.
    #[inline]
    fn error_free_rank(self) -> Option<usize> {
        use crate::node::Kind;
        match self.node().kind {
            Kind::Poison(_) | Kind::Indices(_) => None,
            _ => Some(self.shape().rank()),
        }
    }
}
