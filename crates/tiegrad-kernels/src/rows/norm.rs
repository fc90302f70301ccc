//! Layer normalization of rows (Ba, Kiros, Hinton 2016, arXiv:1607.06450).

use super::{backward_with_stats, each, row_count, row_sum, with_stats};
use crate::Write;
use crate::scalar::Scalar;
use crate::simd::multiversion;
use crate::strided::BLOCK;
use crate::threads::{Shared, parallel_for};

/// `out = (x - mean) * rstd * gamma + beta` along rows, with the biased variance; `stats` gets mean and rstd of
/// each row, interleaved.
///
/// # Panics
/// If lengths do not fit.
///
/// ```
/// let (mut y, mut stats) = ([0.0_f64; 2], [0.0; 2]);
/// tiegrad_kernels::rows::layer_norm(&mut y, &mut stats, &[1.0, 3.0], None, None, 0.0, 2);
/// assert_eq!((y, stats), ([-1.0, 1.0], [2.0, 1.0]));
/// ```
pub fn layer_norm<T: Scalar>(
    out: &mut [T],
    stats: &mut [T],
    x: &[T],
    gamma: Option<&[T]>,
    beta: Option<&[T]>,
    eps: T,
    cols: usize,
) {
    with_stats(
        "layer_norm",
        [out, stats],
        x,
        [gamma, beta],
        cols,
        |out, stats, x| {
            forward_run(out, stats, x, gamma, beta, eps, cols);
        },
    );
}

/// `dx (=, +=) rstd * (g - mean(g) - xhat * mean(g * xhat))` along rows, with `g = dy * gamma` and
/// `xhat = (x - mean) * rstd`.
///
/// # Panics
/// If lengths do not fit.
///
/// ```
/// use tiegrad_kernels::{Write, rows::layer_norm_backward_input};
/// let mut dx = [9.0_f64; 2];
/// layer_norm_backward_input(Write::Overwrite, &mut dx, &[1.0, 1.0], &[1.0, 3.0], &[2.0, 1.0], None, 2);
/// assert_eq!(dx, [0.0, 0.0]);
/// ```
pub fn layer_norm_backward_input<T: Scalar>(
    w: Write,
    dx: &mut [T],
    dy: &[T],
    x: &[T],
    stats: &[T],
    gamma: Option<&[T]>,
    cols: usize,
) {
    let name = "layer_norm_backward_input";
    backward_with_stats(name, dx, [dy, x, stats], gamma, cols, |dx, dy, x, stats| {
        backward_run(w, dx, dy, x, stats, gamma, cols);
    });
}

/// `dgamma (=, +=) sum over rows of dy * xhat`, `dbeta (=, +=) sum over rows of dy`. Rows are added in blocks of
/// 64, in order.
///
/// # Panics
/// If lengths do not fit.
///
/// ```
/// use tiegrad_kernels::{Write, rows::layer_norm_backward_params};
/// let (mut dg, mut db) = ([0.0_f64; 2], [0.0; 2]);
/// layer_norm_backward_params(
///     Some((Write::Overwrite, &mut dg)), Some((Write::Overwrite, &mut db)),
///     &[1.0, 2.0], &[1.0, 3.0], &[2.0, 1.0], 2,
/// );
/// assert_eq!((dg, db), ([-1.0, 2.0], [1.0, 2.0]));
/// ```
pub fn layer_norm_backward_params<T: Scalar>(
    dgamma: Option<(Write, &mut [T])>,
    dbeta: Option<(Write, &mut [T])>,
    dy: &[T],
    x: &[T],
    stats: &[T],
    cols: usize,
) {
    let rows = row_count(dy.len(), cols);
    assert_eq!(
        dy.len(),
        x.len(),
        "layer_norm_backward_params: lengths differ"
    );
    assert_eq!(
        stats.len(),
        2 * rows,
        "layer_norm_backward_params: two statistics per row"
    );
    let share = |d: Option<(Write, &mut [T])>| {
        d.map(|(w, d)| {
            assert_eq!(
                d.len(),
                cols,
                "layer_norm_backward_params: a parameter per column"
            );
            (w, Shared::new(d))
        })
    };
    let (dgamma, dbeta) = (share(dgamma), share(dbeta));
    // Blocks of columns, so that their sums stay on the stack.
    let width = if dy.len() < 32 * 1024 { BLOCK } else { 64 };
    parallel_for(cols.div_ceil(width), &|i| {
        let (first, end) = (i * width, cols.min((i + 1) * width));
        // SAFETY: blocks of columns do not overlap, and both slices are borrowed until all are done.
        let [dgamma, dbeta] =
            [dgamma, dbeta].map(|d| d.map(|(w, d)| (w, unsafe { d.range(first, end) })));
        params_run(dgamma, dbeta, dy, x, stats, cols, first);
    });
}

multiversion! {
    [T: Scalar]
    fn forward_run(
        out: &mut [T], stats: &mut [T], x: &[T], gamma: Option<&[T]>, beta: Option<&[T]>, eps: T, cols: usize,
    ) -> () {
        let scale = T::from_usize(cols).recip();
        for (r, out) in out.chunks_exact_mut(cols).enumerate() {
            let x = &x[r * cols..][..cols];
            let mean = row_sum([x], |[x]| x) * scale;
            let var = row_sum([x], |[x]| (x - mean) * (x - mean)) * scale;
            let rstd = (var + eps).sqrt().recip();
            stats[2 * r] = mean;
            stats[2 * r + 1] = rstd;
            match (gamma, beta) {
                (None, None) => each(out, [x], |[x]| (x - mean) * rstd),
                (Some(g), None) => each(out, [x, g], |[x, g]| (x - mean) * rstd * g),
                (None, Some(b)) => each(out, [x, b], |[x, b]| (x - mean) * rstd + b),
                (Some(g), Some(b)) => each(out, [x, g, b], |[x, g, b]| (x - mean) * rstd * g + b),
            }
        }
    }
}

multiversion! {
    [T: Scalar]
    fn backward_run(
        w: Write, dx: &mut [T], dy: &[T], x: &[T], stats: &[T], gamma: Option<&[T]>, cols: usize,
    ) -> () {
        let add = w == Write::Accumulate;
        let scale = T::from_usize(cols).recip();
        for (r, dx) in dx.chunks_exact_mut(cols).enumerate() {
            let x = &x[r * cols..][..cols];
            let dy = &dy[r * cols..][..cols];
            let (mean, rstd) = (stats[2 * r], stats[2 * r + 1]);
            let hat = |x: T| (x - mean) * rstd;
            match gamma {
                None => {
                    let sum = row_sum([dy], |[dy]| dy) * scale;
                    let dot = row_sum([dy, x], |[dy, x]| dy * hat(x)) * scale;
                    for i in 0..cols {
                        let g = rstd * (dy[i] - sum - hat(x[i]) * dot);
                        dx[i] = if add { dx[i] + g } else { g };
                    }
                }
                Some(gamma) => {
                    let gamma = &gamma[..cols];
                    let sum = row_sum([dy, gamma], |[dy, gamma]| dy * gamma) * scale;
                    let dot = row_sum([dy, gamma, x], |[dy, gamma, x]| dy * gamma * hat(x)) * scale;
                    for i in 0..cols {
                        let g = rstd * (dy[i] * gamma[i] - sum - hat(x[i]) * dot);
                        dx[i] = if add { dx[i] + g } else { g };
                    }
                }
            }
        }
    }
}

multiversion! {
    [T: Scalar]
    fn params_run(
        dgamma: Option<(Write, &mut [T])>, dbeta: Option<(Write, &mut [T])>,
        dy: &[T], x: &[T], stats: &[T], cols: usize, first: usize,
    ) -> () {
        let n = match (&dgamma, &dbeta) {
            (Some((_, d)), _) | (_, Some((_, d))) => d.len(),
            _ => return,
        };
        let mut total = [[T::ZERO; BLOCK]; 2];
        let rows = stats.len() / 2;
        let mut row = 0;
        while row < rows {
            let end = rows.min(row + 64);
            let mut part = [[T::ZERO; BLOCK]; 2];
            let [g, b] = &mut part;
            let (g, b) = (&mut g[..n], &mut b[..n]);
            while row < end {
                let dy = &dy[row * cols + first..][..n];
                let x = &x[row * cols + first..][..n];
                let (mean, rstd) = (stats[2 * row], stats[2 * row + 1]);
                for i in 0..n {
                    g[i] += dy[i] * ((x[i] - mean) * rstd);
                    b[i] += dy[i];
                }
                row += 1;
            }
            for (total, part) in total.iter_mut().zip(&part) {
                for i in 0..n {
                    total[i] += part[i];
                }
            }
        }
        for (d, total) in [dgamma, dbeta].into_iter().zip(&total) {
            if let Some((w, d)) = d {
                for i in 0..n {
                    d[i] = if w == Write::Accumulate { d[i] + total[i] } else { total[i] };
                }
            }
        }
    }
}
