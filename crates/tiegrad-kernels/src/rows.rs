//! Functions along the rows of a contiguous matrix, parallel over rows: softmax, layer norm, cross-entropy.

mod cross_entropy;
mod norm;
mod softmax;

pub use cross_entropy::{cross_entropy, cross_entropy_backward};
pub use norm::{layer_norm, layer_norm_backward_input, layer_norm_backward_params};
pub(crate) use softmax::softmax_row;
pub use softmax::{log_softmax, log_softmax_backward, softmax, softmax_backward};

use crate::elementwise::RUN;
use crate::reduce::{Max, Plus, Tree, lanes};
use crate::scalar::Scalar;
use crate::strided::BLOCK;

/// Rows of `cols` elements per parallel chunk, for `len` elements in all; everything where it is little.
#[inline(always)]
fn rows_per_run(len: usize, cols: usize) -> usize {
    if len < RUN {
        (len / cols.max(1)).max(1)
    } else {
        (RUN / 2 / cols.max(1)).max(1)
    }
}

/// Panics unless `len` is a whole number of rows; the number of rows.
#[inline(always)]
fn row_count(len: usize, cols: usize) -> usize {
    if cols == 0 {
        assert_eq!(len, 0, "elements in rows of length 0");
        return 0;
    }
    assert_eq!(len % cols, 0, "not a whole number of rows");
    len / cols
}

/// The sum of `f(i)` for i below n, in blocks and the blocks pairwise.
#[inline(always)]
fn row_sum<T: Scalar>(n: usize, f: impl Fn(usize) -> T) -> T {
    let mut room = [T::ZERO; BLOCK];
    if n <= BLOCK {
        for i in 0..n {
            room[i] = f(i);
        }
        return lanes::<T, Plus>(&room[..n]);
    }
    let mut tree = Tree::new();
    let mut at = 0;
    while at < n {
        let len = BLOCK.min(n - at);
        for i in 0..len {
            room[i] = f(at + i);
        }
        tree.push::<Plus>(lanes::<T, Plus>(&room[..len]));
        at += len;
    }
    tree.finish::<Plus>()
}

/// The maximum of a row; NaN where one is.
#[inline(always)]
fn row_max<T: Scalar>(x: &[T]) -> T {
    lanes::<T, Max>(x)
}

#[cfg(test)]
mod tests;
