//! Softmax and log-softmax of rows, computed from x - max x (Blanchard, Higham and Higham 2021, Accurately computing the log-sum-exp and
//! softmax functions, IMA J. Numer. Anal. 41, arXiv:1909.03469).

use super::{
    MOST_ROWS, ahead, ahead_backward, ask, each, exp_each, exp_sum, results_ahead, row_count,
    row_max, row_sum_asking, rows_per_group, rows_per_run,
};
use crate::Write;
use crate::cache::stores_of_softmax_gain_past;
use crate::elementwise::{for_each_run_past, for_each_run_past_if};
use crate::scalar::{Arithmetic, Scalar};
use crate::simd::multiversion;
use std::cell::Cell;

/// `out = softmax(x) = exp(x) / sum(exp(x))` along rows of `cols` elements. A row of -∞ alone gives NaN, as in PyTorch. Exponentials
/// below the smallest normal number count as 0.
///
/// # Panics
/// If lengths differ or are no whole number of rows.
///
/// ```
/// let mut y = [0.0_f64; 2];
/// tiegrad_kernels::rows::softmax(&mut y, &[1.0, 1.0], 2);
/// assert_eq!(y, [0.5, 0.5]);
/// ```
pub fn softmax<T: Scalar>(out: &mut [T], x: &[T], cols: usize) {
    assert_eq!(out.len(), x.len(), "softmax: lengths differ");
    row_count(x.len(), cols);
    let results = results_ahead::<T>(x.len());
    for_each_run_past(
        Write::Overwrite,
        out,
        rows_per_run(x.len(), cols) * cols,
        cols,
        |at, out| {
            softmax_run(out, &x[at..at + out.len()], cols, results);
        },
    );
}

/// `dx (=, +=) y * (dy - sum(y * dy))` along rows, where `y = softmax(x)`.
///
/// # Panics
/// If lengths differ or are no whole number of rows.
///
/// ```
/// use tiegrad_kernels::{Write, rows::softmax_backward};
/// let mut dx = [0.0_f64; 2];
/// softmax_backward(Write::Overwrite, &mut dx, &[0.5, 0.5], &[1.0, 0.0], 2);
/// assert_eq!(dx, [0.25, -0.25]);
/// ```
pub fn softmax_backward<T: Scalar>(w: Write, dx: &mut [T], y: &[T], dy: &[T], cols: usize) {
    assert!(
        dx.len() == y.len() && dx.len() == dy.len(),
        "softmax_backward: lengths differ"
    );
    row_count(y.len(), cols);
    let gains = || stores_of_softmax_gain_past(cols.saturating_mul(size_of::<T>()));
    let run = rows_per_run(y.len(), cols) * cols;
    for_each_run_past_if(gains, w, dx, run, cols, |at, dx| {
        let end = at + dx.len();
        softmax_backward_run(w, dx, &y[at..end], &dy[at..end], cols);
    });
}

/// `out = x - log(sum(exp(x)))` along rows of `cols` elements.
///
/// # Panics
/// If lengths differ or are no whole number of rows.
///
/// ```
/// let mut y = [0.0_f64; 2];
/// tiegrad_kernels::rows::log_softmax(&mut y, &[3.0, 3.0], 2);
/// assert!((y[0] + 2.0_f64.ln()).abs() < 1e-15);
/// ```
pub fn log_softmax<T: Scalar>(out: &mut [T], x: &[T], cols: usize) {
    assert_eq!(out.len(), x.len(), "log_softmax: lengths differ");
    row_count(x.len(), cols);
    for_each_run_past(
        Write::Overwrite,
        out,
        rows_per_run(x.len(), cols) * cols,
        cols,
        |at, out| {
            log_softmax_run(out, &x[at..at + out.len()], cols);
        },
    );
}

/// `dx (=, +=) dy - exp(y) * sum(dy)` along rows, where `y = log_softmax(x)`.
///
/// # Panics
/// If lengths differ or are no whole number of rows.
///
/// ```
/// use tiegrad_kernels::{Write, rows::log_softmax_backward};
/// let mut dx = [0.0_f64; 1];
/// log_softmax_backward(Write::Overwrite, &mut dx, &[0.0], &[5.0], 1);
/// assert_eq!(dx, [0.0]);
/// ```
pub fn log_softmax_backward<T: Scalar>(w: Write, dx: &mut [T], y: &[T], dy: &[T], cols: usize) {
    assert!(
        dx.len() == y.len() && dx.len() == dy.len(),
        "log_softmax_backward: lengths differ"
    );
    row_count(y.len(), cols);
    let gains = || stores_of_softmax_gain_past(cols.saturating_mul(size_of::<T>()));
    let run = rows_per_run(y.len(), cols) * cols;
    for_each_run_past_if(gains, w, dx, run, cols, |at, dx| {
        let end = at + dx.len();
        log_softmax_backward_run(w, dx, &y[at..end], &dy[at..end], cols);
    });
}

/// The softmax of rows of `cols` elements, in place: of the first elements of each, as many as `seen` says. The others become 0.
#[inline(always)]
pub(crate) fn softmax_rows<T: Scalar, N: Arithmetic + From<T> + Into<T>>(
    rows: &mut [T],
    cols: usize,
    seen: impl Fn(usize) -> usize,
) {
    let group = rows_per_group::<T>(cols);
    for (g, rows) in rows.chunks_mut(group * cols).enumerate() {
        let seen = |r: usize| seen(g * group + r);
        // The maxima of the rows, and then the sums of their exponentials.
        let mut of_rows = [T::ZERO; MOST_ROWS];
        for (r, (of_row, row)) in of_rows.iter_mut().zip(rows.chunks_exact(cols)).enumerate() {
            *of_row = row_max(&row[..seen(r)]);
        }
        for (r, (of_row, row)) in of_rows
            .iter_mut()
            .zip(rows.chunks_exact_mut(cols))
            .enumerate()
        {
            let cells = Cell::from_mut(&mut row[..seen(r)]).as_slice_of_cells();
            *of_row = exp_each::<T, N>(
                cells.len(),
                *of_row,
                |at, to| {
                    for (to, x) in to.iter_mut().zip(&cells[at..]) {
                        *to = x.get();
                    }
                },
                |at, e| {
                    for (out, &e) in cells[at..].iter().zip(e) {
                        out.set(e);
                    }
                },
            );
        }
        for (r, (&sum, row)) in of_rows.iter().zip(rows.chunks_exact_mut(cols)).enumerate() {
            let (seen, others) = row.split_at_mut(seen(r));
            scale(seen, sum.recip());
            others.fill(T::ZERO);
        }
    }
}

#[inline(always)]
fn scale<T: Scalar>(out: &mut [T], by: T) {
    for o in out {
        *o *= by;
    }
}

multiversion! {
    avx512 [T: Scalar as N]
    fn softmax_run(out: &mut [T], x: &[T], cols: usize, results: Option<usize>) -> () {
        let group = rows_per_group::<T>(cols);
        let ahead = ahead::<T>(group * cols);
        for (out, x) in out.chunks_mut(group * cols).zip(x.chunks(group * cols)) {
            // The maxima of the rows, and then the sums of their exponentials.
            let mut of_rows = [T::ZERO; MOST_ROWS];
            for (of_row, x) in of_rows.iter_mut().zip(x.chunks_exact(cols)) {
                *of_row = row_max(x);
            }
            let rows = out.chunks_exact_mut(cols).zip(x.chunks_exact(cols));
            for (of_row, (out, x)) in of_rows.iter_mut().zip(rows) {
                *of_row = exp_each::<T, N>(
                    cols,
                    *of_row,
                    |at, to| to.copy_from_slice(&x[at..][..to.len()]),
                    |at, e| {
                        ask(x, at, ahead, e.len());
                        if let Some(results) = results {
                            ask(out, at, results, e.len());
                        }
                        out[at..at + e.len()].copy_from_slice(e);
                    },
                );
            }
            for (&sum, out) in of_rows.iter().zip(out.chunks_exact_mut(cols)) {
                scale(out, sum.recip());
            }
        }
    }
}

multiversion! {
    [T: Scalar]
    fn softmax_backward_run(w: Write, dx: &mut [T], y: &[T], dy: &[T], cols: usize) -> () {
        let add = w == Write::Accumulate;
        let ahead = Some(ahead_backward::<T>());
        for (r, dx) in dx.chunks_exact_mut(cols).enumerate() {
            let y = &y[r * cols..][..cols];
            let dy = &dy[r * cols..][..cols];
            let dot = row_sum_asking([y, dy], ahead, |[y, dy]| y * dy);
            for i in 0..cols {
                let g = y[i] * (dy[i] - dot);
                dx[i] = if add { dx[i] + g } else { g };
            }
        }
    }
}

multiversion! {
    avx512 [T: Scalar as N]
    fn log_softmax_run(out: &mut [T], x: &[T], cols: usize) -> () {
        let group = rows_per_group::<T>(cols);
        let ahead = ahead::<T>(group * cols);
        for (out, x) in out.chunks_mut(group * cols).zip(x.chunks(group * cols)) {
            let (mut maxima, mut log_sums) = ([T::ZERO; MOST_ROWS], [T::ONE; MOST_ROWS]);
            for (max, x) in maxima.iter_mut().zip(x.chunks_exact(cols)) {
                *max = row_max(x);
            }
            for ((sum, &max), x) in log_sums.iter_mut().zip(&maxima).zip(x.chunks_exact(cols)) {
                *sum = exp_sum::<T, N>(x, max, ahead);
            }
            // Vectors of rows: the logarithm of one takes as long.
            let rows = out.len() / cols;
            for sum in &mut log_sums[..rows] {
                *sum = N::from(*sum).ln().into();
            }
            let rows = out.chunks_exact_mut(cols).zip(x.chunks_exact(cols));
            for ((out, x), (&max, &log_sum)) in rows.zip(maxima.iter().zip(&log_sums)) {
                each(out, [x], |[x]| x - max - log_sum);
            }
        }
    }
}

multiversion! {
    avx512 [T: Scalar as N]
    fn log_softmax_backward_run(w: Write, dx: &mut [T], y: &[T], dy: &[T], cols: usize) -> () {
        let add = w == Write::Accumulate;
        let ahead = Some(ahead_backward::<T>());
        for (r, dx) in dx.chunks_exact_mut(cols).enumerate() {
            let y = &y[r * cols..][..cols];
            let dy = &dy[r * cols..][..cols];
            let sum = row_sum_asking([dy, y], ahead, |[dy, _]| dy);
            for i in 0..cols {
                let e: T = N::from(y[i]).exp_bounded().into();
                let g = dy[i] - e * sum;
                dx[i] = if add { dx[i] + g } else { g };
            }
        }
    }
}
