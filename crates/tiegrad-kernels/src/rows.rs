//! Functions along the rows of a contiguous matrix, parallel over rows: softmax, layer norm, RMS norm, cross-entropy.

mod cross_entropy;
mod norm;
mod rms_norm;
mod softmax;

pub use cross_entropy::{cross_entropy, cross_entropy_backward};
pub use norm::{layer_norm, layer_norm_backward_input, layer_norm_backward_params};
pub use rms_norm::{rms_norm, rms_norm_backward_input};
pub(crate) use softmax::softmax_row;
pub use softmax::{log_softmax, log_softmax_backward, softmax, softmax_backward};

use crate::elementwise::RUN;
use crate::reduce::{Plus, SUM_BLOCK, Tree, block_fold, block_sum};
use crate::scalar::{Arithmetic, Scalar};

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

/// The sum of `f` over rows of equal length, read together: in blocks, and the blocks pairwise.
#[inline(always)]
fn row_sum<T: Scalar, const K: usize>(x: [&[T]; K], f: impl Fn([T; K]) -> T) -> T {
    let n = x[0].len();
    if n <= SUM_BLOCK {
        return block_sum(x, &f);
    }
    let mut tree = Tree::new();
    for at in (0..n).step_by(SUM_BLOCK) {
        let end = n.min(at + SUM_BLOCK);
        tree.push::<Plus>(block_sum(x.map(|x| &x[at..end]), &f));
    }
    tree.finish::<Plus>()
}

/// The largest of a row; -∞ if it has none. NaN counts only where it is first: the sums of exponentials that follow are NaN with it.
#[inline(always)]
fn row_max<T: Scalar>(x: &[T]) -> T {
    block_fold([x], T::NEG_INFINITY, &|[x]| x, &|a, b| {
        if b > a { b } else { a }
    })
}

/// The sum of `e^(x - shift)`.
#[inline(always)]
fn exp_sum<T: Scalar, N: Arithmetic + From<T> + Into<T>>(x: &[T], shift: T) -> T {
    let mut room = [T::ZERO; SUM_BLOCK];
    let mut tree = Tree::new();
    for x in x.chunks(SUM_BLOCK) {
        let room = &mut room[..x.len()];
        exp_row::<T, N>(room, x, shift);
        tree.push::<Plus>(block_sum([room], &|[x]| x));
    }
    tree.finish::<Plus>()
}

/// `out = e^(x - shift)`, with the last few elements in a whole vector too: one by one they would cost as much as a hundred others.
#[inline(always)]
fn exp_row<T: Scalar, N: Arithmetic + From<T> + Into<T>>(out: &mut [T], x: &[T], shift: T) {
    let whole = x.len() - x.len() % VECTOR;
    exp_each::<T, N>(&mut out[..whole], &x[..whole], shift);
    let n = x.len() - whole;
    if n > 0 {
        let (mut from, mut to) = ([shift; VECTOR], [T::ZERO; VECTOR]);
        from[..n].copy_from_slice(&x[whole..]);
        exp_each::<T, N>(&mut to, &from, shift);
        out[whole..].copy_from_slice(&to[..n]);
    }
}

// A function and not a closure: what is not inlined has no fused multiply-add.
#[inline(always)]
fn exp_each<T: Scalar, N: Arithmetic + From<T> + Into<T>>(out: &mut [T], x: &[T], shift: T) {
    for (o, &x) in out.iter_mut().zip(x) {
        *o = N::from(x - shift).exp().into();
    }
}

/// Elements in the longest vector.
const VECTOR: usize = 16;

#[cfg(test)]
mod tests;
