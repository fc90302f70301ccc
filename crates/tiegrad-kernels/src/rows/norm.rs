//! Layer normalization of rows (Ba, Kiros, Hinton 2016, arXiv:1607.06450).

use super::{
    ahead, ahead_backward, ask, backward_with_stats, each, near, row_count, row_sum,
    row_sum_asking, rows_per_group, with_stats,
};
use crate::Write;
use crate::elementwise::RUN;
use crate::scalar::Scalar;
use crate::simd::{array, multiversion};
use crate::strided::BLOCK;
use crate::threads::for_each_run;

/// `out = (x - mean) * rstd * gamma + beta` along rows, with `rstd = 1 / sqrt(variance + eps)` of the biased variance; `stats` gets mean and
/// rstd of each row, interleaved. `out` and `x` (rows, cols), `gamma` and `beta` (cols), `stats` (rows, 2). O(rows · cols).
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
    let near = near::<T>(x.len());
    with_stats(
        "layer_norm",
        [out, stats],
        x,
        [gamma, beta],
        cols,
        |out, stats, x| {
            forward_run(near, out, stats, x, gamma, beta, eps, cols);
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
    let near = near::<T>(x.len());
    backward_with_stats(
        name,
        (w, dx),
        [dy, x, stats],
        gamma,
        cols,
        |dx, dy, x, stats| {
            backward_run(near, w, dx, dy, x, stats, gamma, cols);
        },
    );
}

/// `dgamma (=, +=) sum over rows of dy * xhat`, `dbeta (=, +=) sum over rows of dy`. Rows are added in blocks of
/// 64, in parts that depend on the sizes alone, in order.
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
    mut dgamma: Option<(Write, &mut [T])>,
    mut dbeta: Option<(Write, &mut [T])>,
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
    for (_, d) in [&dgamma, &dbeta].into_iter().flatten() {
        assert_eq!(
            d.len(),
            cols,
            "layer_norm_backward_params: a parameter per column"
        );
    }
    // Parts of the rows, that threads add up at the same time, and strips of columns; where there is little, one part is enough.
    let room = if dy.len() < 2 * RUN { BLOCK } else { 2 * WIDTH };
    let width = cols.min(WIDTH).min(room).max(1);
    let parts = (dy.len() / RUN).clamp(1, PARTS.min(room / width));
    let part = rows.div_ceil(parts).next_multiple_of(ROWS).max(ROWS);
    let size = 4 * width * rows.div_ceil(part).max(1);
    let mut sum = |room: &mut [T]| {
        let dgamma = dgamma.as_mut().map(|(w, d)| (*w, &mut **d));
        let dbeta = dbeta.as_mut().map(|(w, d)| (*w, &mut **d));
        params(
            [dgamma, dbeta],
            &mut room[..size],
            [dy, x, stats],
            cols,
            width,
            part,
        );
    };
    if size <= 4 * BLOCK {
        sum(&mut [T::ZERO; 4 * BLOCK]);
    } else if size <= WIDTH {
        in_room::<T, WIDTH>(&mut sum);
    } else {
        in_room::<T, { 8 * WIDTH }>(&mut sum);
    }
}

/// The most columns whose sums stand on the stack together. Rows are read in the order of memory then: in strips of 512 columns of 1,024
/// this took 2.5 times as long.
const WIDTH: usize = 4096;
/// The most parts.
const PARTS: usize = 16;
/// Columns that are added to at a time.
const CHUNK: usize = 8;
/// Rows that are added up before they join the sum of their part.
const ROWS: usize = 64;

/// Calls `f` with room on a stack frame of its own, for which calls that need less do not pay.
#[inline(never)]
fn in_room<T: Scalar, const N: usize>(f: &mut dyn FnMut(&mut [T])) {
    f(&mut [T::ZERO; N]);
}

/// Strips of `width` columns: their sums by parts of `part` rows, for which there is `room`, and these sums in order.
fn params<T: Scalar>(
    mut d: [Option<(Write, &mut [T])>; 2],
    room: &mut [T],
    [dy, x, stats]: [&[T]; 3],
    cols: usize,
    width: usize,
    part: usize,
) {
    let rows = stats.len() / 2;
    for first in (0..cols).step_by(width) {
        let n = width.min(cols - first);
        for_each_run(room, 4 * width, |at, sums| {
            let row = at / (4 * width) * part;
            params_run(
                sums,
                dy,
                x,
                stats,
                cols,
                first,
                n,
                row,
                rows.min(row + part),
            );
        });
        let (total, parts) = room.split_at_mut(4 * width);
        for part in parts.chunks_exact(4 * width) {
            for (total, &sum) in total.iter_mut().zip(&part[..2 * width]) {
                *total += sum;
            }
        }
        for (d, total) in d.iter_mut().zip(total.chunks_exact(width)) {
            let Some((w, d)) = d else { continue };
            for (d, &total) in d[first..first + n].iter_mut().zip(total) {
                *d = if *w == Write::Accumulate {
                    *d + total
                } else {
                    total
                };
            }
        }
    }
}

multiversion! {
    avx512 if near [T: Scalar]
    fn forward_run(
        out: &mut [T], stats: &mut [T], x: &[T], gamma: Option<&[T]>, beta: Option<&[T]>, eps: T, cols: usize,
    ) -> () {
        let scale = T::from_usize(cols).recip();
        let group = rows_per_group::<T>(cols);
        let ahead = Some(ahead::<T>(0));
        let rows = out.chunks_mut(group * cols).zip(x.chunks(group * cols));
        for ((out, x), stats) in rows.zip(stats.chunks_mut(2 * group)) {
            for (stats, x) in stats.chunks_exact_mut(2).zip(x.chunks_exact(cols)) {
                stats[0] = row_sum([x], |[x]| x) * scale;
            }
            for (stats, x) in stats.chunks_exact_mut(2).zip(x.chunks_exact(cols)) {
                let mean = stats[0];
                let var = row_sum_asking([x], ahead, |[x]| (x - mean) * (x - mean)) * scale;
                stats[1] = (var + eps).sqrt().recip();
            }
            let rows = out.chunks_exact_mut(cols).zip(x.chunks_exact(cols));
            for ((out, x), stats) in rows.zip(stats.chunks_exact(2)) {
                let (mean, rstd) = (stats[0], stats[1]);
                match (gamma, beta) {
                    (None, None) => each(out, [x], |[x]| (x - mean) * rstd),
                    (Some(g), None) => each(out, [x, g], |[x, g]| (x - mean) * rstd * g),
                    (None, Some(b)) => each(out, [x, b], |[x, b]| (x - mean) * rstd + b),
                    (Some(g), Some(b)) => each(out, [x, g, b], |[x, g, b]| (x - mean) * rstd * g + b),
                }
            }
        }
    }
}

multiversion! {
    avx512 if near [T: Scalar]
    fn backward_run(
        w: Write, dx: &mut [T], dy: &[T], x: &[T], stats: &[T], gamma: Option<&[T]>, cols: usize,
    ) -> () {
        let add = w == Write::Accumulate;
        let scale = T::from_usize(cols).recip();
        let ahead = Some(ahead_backward::<T>());
        for (r, dx) in dx.chunks_exact_mut(cols).enumerate() {
            let x = &x[r * cols..][..cols];
            let dy = &dy[r * cols..][..cols];
            let (mean, rstd) = (stats[2 * r], stats[2 * r + 1]);
            let hat = |x: T| (x - mean) * rstd;
            match gamma {
                None => {
                    let sum = row_sum([dy], |[dy]| dy) * scale;
                    let dot = row_sum_asking([dy, x], ahead, |[dy, x]| dy * hat(x)) * scale;
                    for i in 0..cols {
                        let g = rstd * (dy[i] - sum - hat(x[i]) * dot);
                        dx[i] = if add { dx[i] + g } else { g };
                    }
                }
                Some(gamma) => {
                    let gamma = &gamma[..cols];
                    let sum = row_sum([dy, gamma], |[dy, gamma]| dy * gamma) * scale;
                    let dot = row_sum_asking([dy, x, gamma], ahead, |[dy, x, gamma]| dy * gamma * hat(x)) * scale;
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
    /// The sums of `n` columns over rows `row..end`: gamma's and beta's, and room for those of a block of rows.
    [T: Scalar]
    fn params_run(
        sums: &mut [T], dy: &[T], x: &[T], stats: &[T], cols: usize, first: usize, n: usize, row: usize, end: usize,
    ) -> () {
        let width = sums.len() / 4;
        let ahead = ahead::<T>(0);
        let (total, part) = sums.split_at_mut(2 * width);
        let (g, b) = part.split_at_mut(width);
        let (g, b) = (&mut g[..n], &mut b[..n]);
        total.fill(T::ZERO);
        for start in (row..end).step_by(ROWS) {
            g.fill(T::ZERO);
            b.fill(T::ZERO);
            // Row by row: memory is read ahead only in its order. Chunks are arrays, so that what is written cannot be what is read next.
            for row in start..end.min(start + ROWS) {
                let at = row * cols + first;
                let (dy, dy_rest) = dy[at..at + n].as_chunks::<CHUNK>();
                let (x, x_rest) = x[at..at + n].as_chunks::<CHUNK>();
                let (mean, rstd) = (stats[2 * row], stats[2 * row + 1]);
                let (g, g_rest) = g.as_chunks_mut::<CHUNK>();
                let (b, b_rest) = b.as_chunks_mut::<CHUNK>();
                for c in 0..dy.len() {
                    // A line of the smallest numbers has two chunks.
                    if c % 2 == 0 {
                        ask(&dy[c], 0, ahead, 2 * CHUNK);
                        ask(&x[c], 0, ahead, 2 * CHUNK);
                    }
                    let (dy, x, old, old_b) = (dy[c], x[c], g[c], b[c]);
                    g[c] = array(|l| old[l] + dy[l] * ((x[l] - mean) * rstd));
                    b[c] = array(|l| old_b[l] + dy[l]);
                }
                for i in 0..dy_rest.len() {
                    g_rest[i] += dy_rest[i] * ((x_rest[i] - mean) * rstd);
                    b_rest[i] += dy_rest[i];
                }
            }
            for i in 0..n {
                total[i] += g[i];
                total[width + i] += b[i];
            }
        }
    }
}
