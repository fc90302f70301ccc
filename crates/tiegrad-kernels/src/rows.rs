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
use std::mem::MaybeUninit;

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

/// The sum of `f(i)` for i below n, in blocks, and the blocks pairwise.
#[inline(always)]
fn row_sum<T: Scalar>(n: usize, f: impl Fn(usize) -> T) -> T {
    if n <= BLOCK {
        return lane_sum(0, n, &f);
    }
    let mut tree = Tree::new();
    let mut at = 0;
    while at < n {
        let end = n.min(at + BLOCK);
        tree.push::<Plus>(lane_sum(at, end, &f));
        at = end;
    }
    tree.finish::<Plus>()
}

/// The sum of `f(i)` for `start <= i < end`, at most `BLOCK` values.
#[inline(always)]
fn lane_sum<T: Scalar>(start: usize, end: usize, f: &impl Fn(usize) -> T) -> T {
    // The values go through memory: two simple loops are vectorized where one with lanes is not always.
    let mut room = [MaybeUninit::<T>::uninit(); BLOCK];
    let room = &mut room[..end - start];
    for (i, o) in room.iter_mut().enumerate() {
        o.write(f(start + i));
    }
    // SAFETY: every element was written just now.
    lanes::<T, Plus>(unsafe { std::slice::from_raw_parts(room.as_ptr().cast(), room.len()) })
}

/// The maximum of a row; NaN where one is.
#[inline(always)]
fn row_max<T: Scalar>(x: &[T]) -> T {
    lanes::<T, Max>(x)
}

#[cfg(test)]
mod tests;
