//! Naive versions of the kernels, with the same signatures: obviously right, slow. Tests compare with them.
//!
//! ```
//! use tiegrad_kernels::{matmul, reference};
//! use tiegrad_kernels::matmul::{Mat, MatMut, MatmulShape};
//! let (a, b) = ([1.0_f64, 2.0], [3.0, 4.0]);
//! let (mut c, mut d) = ([0.0], [0.0]);
//! let s = MatmulShape::new(1, 1, 2);
//! matmul::matmul(s, 1.0, Mat::new(&a, 2), Mat::new(&b, 1), 0.0, None, MatMut::new(&mut c, 1));
//! reference::matmul(s, 1.0, Mat::new(&a, 2), Mat::new(&b, 1), 0.0, None, MatMut::new(&mut d, 1));
//! assert_eq!(c, d);
//! ```

use crate::Write;
use crate::attention::{AttentionShape, View4, View4Mut};
use crate::matmul::{Mat, MatMut, MatmulShape};
use crate::scalar::Scalar;

fn put<T: Scalar>(w: Write, o: &mut T, x: T) {
    match w {
        Write::Overwrite => *o = x,
        Write::Accumulate => *o += x,
    }
}

/// Calls `f` with every index of a shape, the last dimension fastest.
fn for_each_index(shape: &[usize], mut f: impl FnMut(&[usize])) {
    let len: usize = shape.iter().product();
    let mut index = vec![0; shape.len()];
    for i in 0..len {
        let mut rest = i;
        for d in (0..shape.len()).rev() {
            index[d] = rest % shape[d];
            rest /= shape[d];
        }
        f(&index);
    }
}

fn dot(index: &[usize], strides: &[usize]) -> usize {
    index.iter().zip(strides).map(|(i, s)| i * s).sum()
}

/// [`crate::matmul::matmul`] as three loops.
pub fn matmul<T: Scalar>(
    s: MatmulShape,
    alpha: T,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    beta: T,
    bias: Option<&[T]>,
    c: MatMut<'_, T>,
) {
    for_each_index(&[s.batch[0], s.batch[1], s.m, s.n], |ix| {
        let &[b0, b1, i, j] = ix else { return };
        let mut sum = T::ZERO;
        for p in 0..s.k {
            sum += a.data[dot(&[b0, b1, i, p], &[a.batch[0], a.batch[1], a.row, a.col])]
                * b.data[dot(&[b0, b1, p, j], &[b.batch[0], b.batch[1], b.row, b.col])];
        }
        let c = &mut c.data[dot(ix, &[c.batch[0], c.batch[1], c.row, c.col])];
        let old = if beta == T::ZERO { T::ZERO } else { beta * *c };
        *c = alpha * sum + old + bias.map_or(T::ZERO, |bias| bias[j]);
    });
}

/// [`crate::elementwise::zip_broadcast`].
pub fn zip_broadcast<T: Scalar>(
    out: &mut [T],
    shape: &[usize],
    x: &[T],
    xs: &[usize],
    y: &[T],
    ys: &[usize],
    f: impl Fn(T, T) -> T,
) {
    let mut i = 0;
    for_each_index(shape, |ix| {
        out[i] = f(x[dot(ix, xs)], y[dot(ix, ys)]);
        i += 1;
    });
}

/// [`crate::elementwise::copy_strided`].
pub fn copy_strided<T: Scalar>(
    w: Write,
    dst: &mut [T],
    ds: &[usize],
    src: &[T],
    ss: &[usize],
    shape: &[usize],
) {
    for_each_index(shape, |ix| put(w, &mut dst[dot(ix, ds)], src[dot(ix, ss)]));
}

/// [`crate::reduce::sum_to`] with one running sum per output; operands must not be empty.
pub fn sum_to<T: Scalar>(
    w: Write,
    dst: &mut [T],
    ds: &[usize],
    shape: &[usize],
    a: &[T],
    a_s: &[usize],
    b: &[T],
    b_s: &[usize],
    c: &[T],
    c_s: &[usize],
    f: impl Fn(T, T, T) -> T,
) {
    let mut sums = vec![T::ZERO; dst.len()];
    let mut reached = vec![false; dst.len()];
    for_each_index(shape, |ix| {
        sums[dot(ix, ds)] += f(a[dot(ix, a_s)], b[dot(ix, b_s)], c[dot(ix, c_s)]);
    });
    for_each_index(&kept(shape, ds), |ix| reached[dot(ix, ds)] = true);
    for i in 0..dst.len() {
        if reached[i] {
            put(w, &mut dst[i], sums[i]);
        }
    }
}

/// [`crate::reduce::max_to`].
pub fn max_to<T: Scalar>(dst: &mut [T], ds: &[usize], shape: &[usize], a: &[T], a_s: &[usize]) {
    for_each_index(&kept(shape, ds), |ix| dst[dot(ix, ds)] = T::NEG_INFINITY);
    for_each_index(shape, |ix| {
        let o = &mut dst[dot(ix, ds)];
        *o = o.maximum(a[dot(ix, a_s)]);
    });
}

/// The shape of what is not summed.
fn kept(shape: &[usize], ds: &[usize]) -> Vec<usize> {
    shape
        .iter()
        .zip(ds)
        .map(|(&n, &s)| if s == 0 { 1 } else { n })
        .collect()
}

/// [`crate::rows::softmax`].
pub fn softmax<T: Scalar>(out: &mut [T], x: &[T], cols: usize) {
    for (out, x) in rows_mut(out, cols).zip(rows(x, cols)) {
        let max = x.iter().fold(T::NEG_INFINITY, |a, &b| a.maximum(b));
        let sum: T = x.iter().map(|&x| (x - max).exp()).sum();
        for (o, &x) in out.iter_mut().zip(x) {
            *o = (x - max).exp() / sum;
        }
    }
}

/// [`crate::rows::softmax_backward`].
pub fn softmax_backward<T: Scalar>(w: Write, dx: &mut [T], y: &[T], dy: &[T], cols: usize) {
    for ((dx, y), dy) in rows_mut(dx, cols).zip(rows(y, cols)).zip(rows(dy, cols)) {
        let dot: T = y.iter().zip(dy).map(|(&y, &d)| y * d).sum();
        for i in 0..cols {
            put(w, &mut dx[i], y[i] * (dy[i] - dot));
        }
    }
}

/// [`crate::rows::log_softmax`].
pub fn log_softmax<T: Scalar>(out: &mut [T], x: &[T], cols: usize) {
    for (out, x) in rows_mut(out, cols).zip(rows(x, cols)) {
        let max = x.iter().fold(T::NEG_INFINITY, |a, &b| a.maximum(b));
        let sum: T = x.iter().map(|&x| (x - max).exp()).sum();
        for (o, &x) in out.iter_mut().zip(x) {
            *o = x - max - sum.ln();
        }
    }
}

/// [`crate::rows::log_softmax_backward`].
pub fn log_softmax_backward<T: Scalar>(w: Write, dx: &mut [T], y: &[T], dy: &[T], cols: usize) {
    for ((dx, y), dy) in rows_mut(dx, cols).zip(rows(y, cols)).zip(rows(dy, cols)) {
        let sum: T = dy.iter().copied().sum();
        for i in 0..cols {
            put(w, &mut dx[i], dy[i] - y[i].exp() * sum);
        }
    }
}

/// [`crate::rows::layer_norm`].
pub fn layer_norm<T: Scalar>(
    out: &mut [T],
    stats: &mut [T],
    x: &[T],
    gamma: Option<&[T]>,
    beta: Option<&[T]>,
    eps: T,
    cols: usize,
) {
    let n = T::from_usize(cols);
    for (r, (out, x)) in rows_mut(out, cols).zip(rows(x, cols)).enumerate() {
        let mean = x.iter().copied().sum::<T>() / n;
        let var = x.iter().map(|&x| (x - mean) * (x - mean)).sum::<T>() / n;
        let rstd = (var + eps).sqrt().recip();
        stats[2 * r] = mean;
        stats[2 * r + 1] = rstd;
        for i in 0..cols {
            let hat = (x[i] - mean) * rstd;
            out[i] = hat * gamma.map_or(T::ONE, |g| g[i]) + beta.map_or(T::ZERO, |b| b[i]);
        }
    }
}

/// [`crate::rows::layer_norm_backward_input`].
pub fn layer_norm_backward_input<T: Scalar>(
    w: Write,
    dx: &mut [T],
    dy: &[T],
    x: &[T],
    stats: &[T],
    gamma: Option<&[T]>,
    cols: usize,
) {
    let n = T::from_usize(cols);
    for (r, dx) in rows_mut(dx, cols).enumerate() {
        let at = |i: usize| r * cols + i;
        let hat = |i: usize| (x[at(i)] - stats[2 * r]) * stats[2 * r + 1];
        let g = |i: usize| dy[at(i)] * gamma.map_or(T::ONE, |g| g[i]);
        let sum: T = (0..cols).map(g).sum();
        let dot: T = (0..cols).map(|i| g(i) * hat(i)).sum();
        for i in 0..cols {
            put(
                w,
                &mut dx[i],
                stats[2 * r + 1] * (g(i) - sum / n - hat(i) * dot / n),
            );
        }
    }
}

/// [`crate::rows::layer_norm_backward_params`].
pub fn layer_norm_backward_params<T: Scalar>(
    dgamma: Option<(Write, &mut [T])>,
    dbeta: Option<(Write, &mut [T])>,
    dy: &[T],
    x: &[T],
    stats: &[T],
    cols: usize,
) {
    let rows = stats.len() / 2;
    let at = |r: usize, i: usize| r * cols + i;
    if let Some((w, d)) = dgamma {
        for i in 0..cols {
            let terms =
                (0..rows).map(|r| dy[at(r, i)] * (x[at(r, i)] - stats[2 * r]) * stats[2 * r + 1]);
            put(w, &mut d[i], terms.sum());
        }
    }
    if let Some((w, d)) = dbeta {
        for i in 0..cols {
            put(w, &mut d[i], (0..rows).map(|r| dy[at(r, i)]).sum());
        }
    }
}

/// [`crate::rows::cross_entropy`].
pub fn cross_entropy<T: Scalar>(
    losses: &mut [T],
    lse: &mut [T],
    logits: &[T],
    targets: &[u32],
    cols: usize,
) {
    for (r, x) in rows(logits, cols).enumerate() {
        let max = x.iter().fold(T::NEG_INFINITY, |a, &b| a.maximum(b));
        lse[r] = x.iter().map(|&x| (x - max).exp()).sum::<T>().ln() + max;
        losses[r] = lse[r] - x[targets[r] as usize];
    }
}

/// [`crate::rows::cross_entropy_backward`].
pub fn cross_entropy_backward<T: Scalar>(
    w: Write,
    dlogits: &mut [T],
    logits: &[T],
    lse: &[T],
    targets: &[u32],
    cols: usize,
    dloss: impl Fn(usize) -> T,
) {
    for (r, d) in rows_mut(dlogits, cols).enumerate() {
        for (i, d) in d.iter_mut().enumerate() {
            let hot = if targets[r] as usize == i {
                T::ONE
            } else {
                T::ZERO
            };
            put(
                w,
                d,
                ((logits[r * cols + i] - lse[r]).exp() - hot) * dloss(r),
            );
        }
    }
}

/// [`crate::gather::gather_rows`].
pub fn gather_rows<T: Scalar>(out: &mut [T], table: &[T], cols: usize, index: &[u32]) {
    for (r, &row) in index.iter().enumerate() {
        for i in 0..cols {
            out[r * cols + i] = table[row as usize * cols + i];
        }
    }
}

/// [`crate::gather::scatter_add_rows`].
pub fn scatter_add_rows<T: Scalar>(table_grad: &mut [T], cols: usize, index: &[u32], dy: &[T]) {
    for (r, &row) in index.iter().enumerate() {
        for i in 0..cols {
            table_grad[row as usize * cols + i] += dy[r * cols + i];
        }
    }
}

/// [`crate::attention::attention`].
pub fn attention<T: Scalar>(
    s: AttentionShape,
    out: View4Mut<'_, T>,
    probs: &mut [T],
    q: View4<'_, T>,
    k: View4<'_, T>,
    v: View4<'_, T>,
) {
    let scale = T::from_f64(s.scale);
    for_each_index(&[s.batch, s.heads, s.tq], |ix| {
        let &[b, h, i] = ix else { return };
        let start = ((b * s.heads + h) * s.tq + i) * s.tk;
        let p = &mut probs[start..start + s.tk];
        let seen = if s.causal {
            (i + 1 + s.tk).saturating_sub(s.tq).min(s.tk)
        } else {
            s.tk
        };
        for (j, p) in p.iter_mut().enumerate() {
            let term = |e: usize| {
                q.data[dot(&[b, i, h, e], &q.strides)] * k.data[dot(&[b, j, h, e], &k.strides)]
            };
            *p = scale * (0..s.d).map(term).sum::<T>();
        }
        let scores = p[..seen].to_vec();
        softmax(&mut p[..seen], &scores, seen);
        p[seen..].fill(T::ZERO);
        for e in 0..s.dv {
            let term = |j: usize| p[j] * v.data[dot(&[b, j, h, e], &v.strides)];
            out.data[dot(&[b, i, h, e], &out.strides)] = (0..seen).map(term).sum();
        }
    });
}

/// [`crate::attention::attention_backward_scores`].
pub fn attention_backward_scores<T: Scalar>(
    s: AttentionShape,
    ds: &mut [T],
    probs: &[T],
    dout: View4<'_, T>,
    v: View4<'_, T>,
) {
    let scale = T::from_f64(s.scale);
    for_each_index(&[s.batch, s.heads, s.tq], |ix| {
        let &[b, h, i] = ix else { return };
        let start = ((b * s.heads + h) * s.tq + i) * s.tk;
        let p = &probs[start..start + s.tk];
        let dp: Vec<T> = (0..s.tk)
            .map(|j| {
                let term = |e: usize| {
                    dout.data[dot(&[b, i, h, e], &dout.strides)]
                        * v.data[dot(&[b, j, h, e], &v.strides)]
                };
                (0..s.dv).map(term).sum()
            })
            .collect();
        let sum: T = (0..s.tk).map(|j| p[j] * dp[j]).sum();
        for j in 0..s.tk {
            ds[start + j] = if p[j] == T::ZERO {
                T::ZERO
            } else {
                scale * p[j] * (dp[j] - sum)
            };
        }
    });
}

fn rows<T>(x: &[T], cols: usize) -> std::slice::ChunksExact<'_, T> {
    x.chunks_exact(cols.max(1))
}

fn rows_mut<T>(x: &mut [T], cols: usize) -> std::slice::ChunksExactMut<'_, T> {
    x.chunks_exact_mut(cols.max(1))
}
