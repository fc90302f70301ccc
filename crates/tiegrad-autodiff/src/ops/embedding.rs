//! Row look-up.

use tiegrad_arena::Shape;
use tiegrad_kernels::{MAX_RANK, Scalar, gather};

use crate::error::Problem;
use crate::op::{ArgKind, Backward, Forward, Op};
use crate::sample::{ArgSpec, Sample};
use crate::var::Var;

/// Rows of a table (V, C) by indices of any shape: the result has the indices' shape and C behind it. The gradient of a row is the sum over its
/// uses, in the order of the indices.
///
/// ```
/// use tiegrad_autodiff::ops::Embedding;
/// # let mut params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.record(&mut params);
/// let table = g.leaf((&[1.0, 2.0, 3.0, 4.0][..], [2, 2]));
/// g.apply(Embedding, &[table, g.indices(&[1_u32, 1])]).sum().backward()?;
/// assert_eq!(table.grad()?, Some(ndarray::array![[0.0, 0.0], [2.0, 2.0]].into_dyn()));
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Embedding;

impl Op for Embedding {
    const NAME: &'static str = "embedding";

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
        let (table, indices) = (args[0], args[1]);
        if table.rank() != 2 {
            return Err(Problem::Rank {
                what: "the table",
                least: 2,
                most: 2,
                found: table.rank(),
            });
        }
        let rank = indices.rank();
        if rank == MAX_RANK {
            return Err(Problem::BadShape);
        }
        let mut dims = [0; MAX_RANK];
        dims[..rank].copy_from_slice(indices);
        dims[rank] = table[1];
        Shape::new(&dims[..rank + 1]).map_err(|_| Problem::BadShape)
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let (table, indices, shape) = (cx.arg(0), cx.indices(1), cx.arg_shape(0));
        check_indices(indices, shape[0])?;
        gather::gather_rows(cx.out(), table, shape[1], indices);
        Ok(())
    }

    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        let cols = cx.arg_shape(0)[1];
        cx.into_zeroed(0, |dst| {
            gather::scatter_add_rows(dst.data, cols, cx.indices(1), cx.dy())
        });
    }

    fn samples() -> Vec<Sample<Self>> {
        vec![
            Sample::new(
                Embedding,
                [ArgSpec::values([5, 3]), ArgSpec::indices([2, 4], 5)],
            ),
            Sample::new(
                Embedding,
                [ArgSpec::values([5, 3]), ArgSpec::indices([], 5)],
            ),
            Sample::new(
                Embedding,
                [ArgSpec::values([5, 3]), ArgSpec::indices([0], 5)],
            ),
        ]
    }
}

/// Whether every index is below `size`.
pub(crate) fn check_indices(indices: &[u32], size: usize) -> Result<(), Problem> {
    match indices.iter().find(|&&i| i as usize >= size) {
        Some(&i) => Err(Problem::Index {
            index: i as usize,
            size,
        }),
        None => Ok(()),
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// Rows of this table (V, C) by `indices` (see [`Graph::indices`](crate::Graph::indices)) of any shape; C comes behind that shape.
    /// O(indices · C).
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let table = g.input((&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..], [3, 2]));
    /// let rows = table.embedding(g.indices(&[2_u32, 0]));
    /// assert_eq!(rows.value()?, ndarray::array![[5.0, 6.0], [1.0, 2.0]].into_dyn());
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn embedding(self, indices: Var<'t, T>) -> Var<'t, T> {
        self.graph().apply(Embedding, &[self, indices])
    }
}
