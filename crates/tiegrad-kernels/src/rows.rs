//! Functions along the rows of a contiguous matrix, parallel over rows: softmax, layer norm, RMS norm, cross-entropy.
//!
//! All are O(rows · cols). Matrices are row-major slices of rows · cols elements.

mod cross_entropy;
mod norm;
mod rms_norm;
mod softmax;

pub use cross_entropy::{cross_entropy, cross_entropy_backward};
pub use norm::{layer_norm, layer_norm_backward_input, layer_norm_backward_params};
pub use rms_norm::{rms_norm, rms_norm_backward_input};
pub(crate) use softmax::softmax_rows;
pub use softmax::{log_softmax, log_softmax_backward, softmax, softmax_backward};

use crate::Write;
use crate::cache::{asking_backward_gains, asking_gains, asking_results_gains, near, second_level};
use crate::elementwise::{RUN, for_each_run_past, goes_past, pieces, run_within};
use crate::reduce::{
    Join, JoinOf, Plus, SUM_BLOCK, Step, Tree, block_fold, block_sum, halved, through_memory,
};
use crate::scalar::{Arithmetic, Scalar};
use crate::simd::{AHEAD, array, prefetch};
use crate::threads::{Shared, parallel_for};
use std::marker::PhantomData;

/// Rows of `cols` elements per parallel chunk, for `len` elements in all; everything where it is little.
#[inline(always)]
fn rows_per_run(len: usize, cols: usize) -> usize {
    let run = if len < RUN {
        len
    } else {
        run_within(len, RUN / 2)
    };
    (run / cols.max(1)).max(1)
}

/// Bytes of rows that a function takes together, one pass over each before the next: that waits for what the first yields, a maximum or a sum, and meanwhile there are the other rows. (Of a result that goes past the cache there are fewer at a time: those of a piece.)
const GROUP: usize = 8192;
/// The most of these rows.
const MOST_ROWS: usize = 64;

/// Rows of `cols` elements that are taken together.
#[inline(always)]
fn rows_per_group<T>(cols: usize) -> usize {
    (GROUP / size_of::<T>() / cols.max(1)).clamp(1, MOST_ROWS)
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

/// Runs of rows in parallel: `f` gets those of `out`, of `stats` (two numbers for each row, interleaved) and of `x`.
///
/// # Panics
/// If lengths do not fit; `parameters` have an element per column.
#[inline(always)]
fn with_stats<T: Scalar>(
    name: &str,
    [out, stats]: [&mut [T]; 2],
    x: &[T],
    parameters: [Option<&[T]>; 2],
    cols: usize,
    f: impl Fn(&mut [T], &mut [T], &[T]) + Sync,
) {
    let rows = row_count(x.len(), cols);
    check_norm(name, [out.len(), stats.len()], x.len(), parameters, cols);
    if rows == 0 {
        return;
    }
    let run = rows_per_run(x.len(), cols);
    let past = goes_past::<T>(out.len(), cols);
    let (out, stats) = (Shared::new(out), Shared::new(stats));
    parallel_for(rows.div_ceil(run), &|i| {
        let (first, end) = (i * run, rows.min((i + 1) * run));
        // SAFETY: runs of rows do not overlap, and both slices are borrowed until all are done.
        let (out, stats) = unsafe {
            (
                out.range(first * cols, end * cols),
                stats.range(2 * first, 2 * end),
            )
        };
        let x = &x[first * cols..end * cols];
        pieces(past, out, cols, |at, out| {
            let end = at + out.len();
            f(out, &mut stats[2 * at / cols..2 * end / cols], &x[at..end]);
        });
    });
}

/// Runs of rows in parallel: `f` gets those of `dx`, of `dy`, of `x` and of the statistics.
///
/// # Panics
/// If lengths do not fit; `gamma` has an element per column.
#[inline(always)]
fn backward_with_stats<T: Scalar>(
    name: &str,
    (w, dx): (Write, &mut [T]),
    [dy, x, stats]: [&[T]; 3],
    gamma: Option<&[T]>,
    cols: usize,
    f: impl Fn(&mut [T], &[T], &[T], &[T]) + Sync,
) {
    assert_eq!(dy.len(), x.len(), "{name}: lengths differ");
    check_norm(name, [dx.len(), stats.len()], x.len(), [gamma, None], cols);
    for_each_run_past(w, dx, rows_per_run(x.len(), cols) * cols, cols, |at, dx| {
        let end = at + dx.len();
        f(dx, &dy[at..end], &x[at..end], &stats[2 * at / cols..]);
    });
}

#[inline(always)]
fn check_norm<T>(
    name: &str,
    [out, stats]: [usize; 2],
    x: usize,
    parameters: [Option<&[T]>; 2],
    cols: usize,
) {
    assert_eq!(out, x, "{name}: lengths differ");
    let rows = row_count(x, cols);
    assert_eq!(stats, 2 * rows, "{name}: two statistics per row");
    for p in parameters.into_iter().flatten() {
        assert_eq!(p.len(), cols, "{name}: a parameter per column");
    }
}

/// Elements between what the pass that asks reads and what it asks for, so that memory is read while the passes over this row and the next compute: those of [`AHEAD`],
/// or, since an earlier pass has fetched the rows that are taken together, two groups of them where these stay in the cache meanwhile (exponentials gained by that up to 1.3, the norms of rows of 8,192 and more took 1.1 times as long). On processors that do not gain so, one group. `group` is the number of elements of the rows taken together, or 0 for the norms: these ask [`AHEAD`], or
/// where that does not gain for what is being read.
#[inline(always)]
fn ahead<T>(group: usize) -> usize {
    let least = AHEAD / size_of::<T>();
    if !asking_gains() {
        group
    } else if (2 * group).saturating_mul(size_of::<T>()) <= second_level() / 8 {
        least.max(2 * group)
    } else {
        least
    }
}

/// The same of a backward pass, whose rows no earlier pass has read.
#[inline(always)]
fn ahead_backward<T>() -> usize {
    if asking_backward_gains() {
        AHEAD / size_of::<T>()
    } else {
        0
    }
}

/// Elements between what a pass over a row computes with and what it asks for of the result, which has `len` elements: the lines of a large one would be waited for when they are written. None where that does not gain.
#[inline(always)]
fn results_ahead<T>(len: usize) -> Option<usize> {
    let far = len.saturating_mul(size_of::<T>()) > second_level();
    (far && asking_results_gains()).then_some(AHEAD / size_of::<T>())
}

/// Asks for `n` elements that lie `ahead` of `x[at]`, in this row or a later one.
#[inline(always)]
fn ask<T>(x: &[T], at: usize, ahead: usize, n: usize) {
    prefetch(x.as_ptr().wrapping_add(at + ahead), n);
}

/// The sum of `f` over rows of equal length, read together: in blocks, and the blocks pairwise.
#[inline(always)]
fn row_sum<T: Scalar, const K: usize>(x: [&[T]; K], f: impl Fn([T; K]) -> T) -> T {
    row_sum_asking(x, None, f)
}

/// The same, by a pass that asks for what lies so far [`ahead`] of the first two: one pass over each row does.
#[inline(always)]
fn row_sum_asking<T: Scalar, const K: usize>(
    x: [&[T]; K],
    ahead: Option<usize>,
    f: impl Fn([T; K]) -> T,
) -> T {
    let n = x[0].len();
    if n <= SUM_BLOCK {
        return block_sum(x, ahead, &f);
    }
    let mut tree = Tree::new();
    for at in (0..n).step_by(SUM_BLOCK) {
        let end = n.min(at + SUM_BLOCK);
        tree.push::<Plus>(block_sum(array(|k| &x[k][at..end]), ahead, &f));
    }
    tree.finish::<Plus>()
}

/// The largest of a row; -∞ if it has none. NaN does not count: the sums of exponentials that follow are NaN with it.
#[inline(always)]
fn row_max<T: Scalar>(x: &[T]) -> T {
    block_fold::<T, Larger, 1>([x], None, &JoinOf(|[x]: [T; 1]| x))
}

/// The larger of two numbers.
struct Larger;

impl<T: Scalar> Join<T> for Larger {
    const START: T = T::NEG_INFINITY;
    #[inline(always)]
    fn join(a: T, b: T) -> T {
        if b > a { b } else { a }
    }
}

/// The sum of `e^(x - shift)` over a row, where no x is above the shift: in blocks, and the blocks pairwise. Asks for what lies so far [`ahead`].
#[inline(always)]
fn exp_sum<T: Scalar, N: Arithmetic + From<T> + Into<T>>(x: &[T], shift: T, ahead: usize) -> T {
    let exponentials = AddExp {
        shift,
        functions: PhantomData::<N>,
    };
    if x.len() <= SUM_BLOCK {
        return block_fold::<T, Plus, 1>([x], Some(ahead), &exponentials);
    }
    let mut tree = Tree::new();
    for x in x.chunks(SUM_BLOCK) {
        tree.push::<Plus>(block_fold::<T, Plus, 1>([x], Some(ahead), &exponentials));
    }
    tree.finish::<Plus>()
}

/// Adds `e^(x - shift)`, computed with numbers of type N.
struct AddExp<T, N> {
    shift: T,
    functions: PhantomData<N>,
}

impl<T: Scalar, N: Arithmetic + From<T> + Into<T>> Step<T, Plus, 1> for AddExp<T, N> {
    #[inline(always)]
    fn step<const LANES: usize>(&self, sums: &mut [T; LANES], [x]: [&[T; LANES]; 1]) {
        for (sum, &x) in sums.iter_mut().zip(x) {
            *sum = N::from(x - self.shift).add_exp(N::from(*sum)).into();
        }
    }
}

/// The same of a row of `n` that `get` copies from, and `put` gets the exponentials from one place on: it may be where `get` reads.
#[inline(always)]
fn exp_each<T: Scalar, N: Arithmetic + From<T> + Into<T>>(
    n: usize,
    shift: T,
    get: impl Fn(usize, &mut [T]),
    mut put: impl FnMut(usize, &[T]),
) -> T {
    if n <= SUM_BLOCK {
        return exp_block::<T, N>(0, n, shift, &get, &mut put);
    }
    let mut tree = Tree::new();
    for at in (0..n).step_by(SUM_BLOCK) {
        let end = n.min(at + SUM_BLOCK);
        tree.push::<Plus>(exp_block::<T, N>(at, end, shift, &get, &mut put));
    }
    tree.finish::<Plus>()
}

/// Elements `first..end` of [`exp_each`], in lanes that are joined much as by [`block_fold`]. Exponentials and their sum in one loop over small arrays: in two, with
/// room for a block between them, it took half as long again.
#[inline(always)]
fn exp_block<T: Scalar, N: Arithmetic + From<T> + Into<T>>(
    first: usize,
    end: usize,
    shift: T,
    get: &impl Fn(usize, &mut [T]),
    put: &mut impl FnMut(usize, &[T]),
) -> T {
    let mut lanes = [T::ZERO; 2 * VECTOR];
    let mut at = first;
    while at + 2 * VECTOR <= end {
        exps::<T, N, _>(&mut lanes, &mut at, shift, get, put);
    }
    let mut lanes: [T; VECTOR] = halved::<T, Plus, _, _>(lanes);
    if end - at >= VECTOR {
        exps::<T, N, _>(&mut lanes, &mut at, shift, get, put);
    }
    let mut lanes: [T; 8] = halved::<T, Plus, _, _>(through_memory(lanes));
    if end - at >= 8 {
        exps::<T, N, _>(&mut lanes, &mut at, shift, get, put);
    }
    let mut lanes: [T; 4] = halved::<T, Plus, _, _>(lanes);
    if end - at >= 4 {
        exps::<T, N, _>(&mut lanes, &mut at, shift, get, put);
    }
    let mut lane: [T; 1] = halved::<T, Plus, 2, 1>(halved::<T, Plus, 4, 2>(lanes));
    while at < end {
        exps::<T, N, _>(&mut lane, &mut at, shift, get, put);
    }
    lane[0]
}

/// The exponentials of as many elements as there are lanes, and their sums into these.
// A function and not a closure: what is not inlined has no fused multiply-add.
#[inline(always)]
fn exps<T: Scalar, N: Arithmetic + From<T> + Into<T>, const LANES: usize>(
    lanes: &mut [T; LANES],
    at: &mut usize,
    shift: T,
    get: &impl Fn(usize, &mut [T]),
    put: &mut impl FnMut(usize, &[T]),
) {
    let mut x = [T::ZERO; LANES];
    get(*at, &mut x);
    for x in &mut x {
        *x = N::from(*x - shift).exp_bounded().into();
    }
    put(*at, &x);
    let before = *lanes;
    *lanes = array(|l| before[l] + x[l]);
    *at += LANES;
}

/// `out = f(x)`, for rows of equal length.
#[inline(always)]
fn each<T: Scalar, const K: usize>(out: &mut [T], x: [&[T]; K], f: impl Fn([T; K]) -> T) {
    let n = out.len();
    let x: [_; K] = array(|k| &x[k][..n]);
    for i in 0..n {
        out[i] = f(array(|k| x[k][i]));
    }
}

/// Elements in the longest vector.
const VECTOR: usize = 16;

#[cfg(test)]
mod tests;
