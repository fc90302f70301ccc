//! Naive versions of the kernels, with the same signatures: obviously right, slow. Tests compare with them.
//!
//! ```
//! use tiegrad_kernels::{matmul, reference};
//! use tiegrad_kernels::matmul::{Epilogue, Mat, MatMut, MatmulShape};
//! let (a, b) = ([1.0_f64, 2.0], [3.0, 4.0]);
//! let (mut c, mut d) = ([0.0], [0.0]);
//! let s = MatmulShape::new(1, 1, 2);
//! matmul::matmul(s, 1.0, Mat::new(&a, 2), Mat::new(&b, 1), 0.0, Epilogue::NONE, MatMut::new(&mut c, 1));
//! reference::matmul(s, 1.0, Mat::new(&a, 2), Mat::new(&b, 1), 0.0, Epilogue::NONE, MatMut::new(&mut d, 1));
//! assert_eq!(c, d);
//! ```

use crate::Write;
use crate::attention::{AttentionShape, View4, View4Mut};
use crate::matmul::{Epilogue, Mat, MatMut, MatmulShape};
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
///
/// ```
/// use tiegrad_kernels::matmul::{Epilogue, Mat, MatMut, MatmulShape};
/// use tiegrad_kernels::reference;
/// let mut c = [1.0];
/// let (a, b) = (Mat::new(&[2.0, 3.0], 2), Mat::new(&[4.0, 5.0], 1));
/// reference::matmul(MatmulShape::new(1, 1, 2), 1.0, a, b, 10.0, Epilogue::NONE, MatMut::new(&mut c, 1));
/// assert_eq!(c, [33.0]); // 2 · 4 + 3 · 5 + 10 · 1
/// ```
pub fn matmul<T: Scalar>(
    s: MatmulShape,
    alpha: T,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    beta: T,
    epilogue: Epilogue<'_, T>,
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
        let bias = epilogue
            .bias
            .map_or(T::ZERO, |bias| bias[if epilogue.by_row { i } else { j }]);
        *c = epilogue.activation.call(alpha * sum + old + bias);
    });
}

/// [`crate::elementwise::zip_broadcast`].
///
/// ```
/// use tiegrad_kernels::reference;
/// let mut out = [0.0; 4];
/// reference::zip_broadcast(&mut out, &[2, 2], &[1.0, 2.0], &[1, 0], &[10.0, 20.0], &[0, 1], |x, y| x + y);
/// assert_eq!(out, [11.0, 21.0, 12.0, 22.0]);
/// ```
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
///
/// ```
/// use tiegrad_kernels::{Write, reference};
/// let mut t = [0.0; 4];
/// reference::copy_strided(Write::Overwrite, &mut t, &[2, 1], &[1.0, 2.0, 3.0, 4.0], &[1, 2], &[2, 2]);
/// assert_eq!(t, [1.0, 3.0, 2.0, 4.0]); // transposed
/// ```
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
///
/// ```
/// use tiegrad_kernels::{Write, reference};
/// let (x, ones) = ([1.0, 2.0, 3.0, 4.0], [1.0]);
/// let mut rows = [0.0; 2];
/// reference::sum_to(
///     Write::Overwrite, &mut rows, &[1, 0], &[2, 2],
///     &x, &[2, 1], &ones, &[0, 0], &ones, &[0, 0], |x, _, _| x,
/// );
/// assert_eq!(rows, [3.0, 7.0]);
/// ```
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
///
/// ```
/// use tiegrad_kernels::reference;
/// let mut columns = [0.0; 2];
/// reference::max_to(&mut columns, &[0, 1], &[2, 2], &[1.0, 9.0, 3.0, 4.0], &[2, 1]);
/// assert_eq!(columns, [3.0, 9.0]);
/// ```
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
///
/// ```
/// use tiegrad_kernels::reference;
/// let mut out = [0.0; 4];
/// reference::softmax(&mut out, &[0.0, 0.0, 1000.0, 0.0], 2);
/// assert_eq!(out, [0.5, 0.5, 1.0, 0.0]);
/// ```
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
///
/// ```
/// use tiegrad_kernels::{Write, reference};
/// let mut dx = [0.0; 2];
/// reference::softmax_backward(Write::Overwrite, &mut dx, &[0.5, 0.5], &[1.0, 0.0], 2);
/// assert_eq!(dx, [0.25, -0.25]);
/// ```
pub fn softmax_backward<T: Scalar>(w: Write, dx: &mut [T], y: &[T], dy: &[T], cols: usize) {
    for ((dx, y), dy) in rows_mut(dx, cols).zip(rows(y, cols)).zip(rows(dy, cols)) {
        let dot: T = y.iter().zip(dy).map(|(&y, &d)| y * d).sum();
        for i in 0..cols {
            put(w, &mut dx[i], y[i] * (dy[i] - dot));
        }
    }
}

/// [`crate::rows::log_softmax`].
///
/// ```
/// use tiegrad_kernels::reference;
/// let mut out = [0.0_f64; 2];
/// reference::log_softmax(&mut out, &[7.0, 7.0], 2);
/// assert!(out.iter().all(|y| (y + 2.0_f64.ln()).abs() < 1e-15));
/// ```
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
///
/// ```
/// use tiegrad_kernels::{Write, reference};
/// let mut dx = [0.0_f64; 2];
/// let y = [0.5_f64.ln(); 2];
/// reference::log_softmax_backward(Write::Overwrite, &mut dx, &y, &[1.0, 0.0], 2);
/// assert!((dx[0] - 0.5).abs() < 1e-15 && (dx[1] + 0.5).abs() < 1e-15);
/// ```
pub fn log_softmax_backward<T: Scalar>(w: Write, dx: &mut [T], y: &[T], dy: &[T], cols: usize) {
    for ((dx, y), dy) in rows_mut(dx, cols).zip(rows(y, cols)).zip(rows(dy, cols)) {
        let sum: T = dy.iter().copied().sum();
        for i in 0..cols {
            put(w, &mut dx[i], dy[i] - y[i].exp() * sum);
        }
    }
}

/// [`crate::rows::layer_norm`].
///
/// ```
/// use tiegrad_kernels::reference;
/// let (mut out, mut stats) = ([0.0; 2], [0.0; 2]);
/// reference::layer_norm(&mut out, &mut stats, &[1.0, 3.0], None, None, 0.0, 2);
/// assert_eq!(out, [-1.0, 1.0]);
/// assert_eq!(stats, [2.0, 1.0]); // mean, 1 / standard deviation
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
///
/// ```
/// use tiegrad_kernels::{Write, reference};
/// let mut dx = [5.0; 2];
/// reference::layer_norm_backward_input(Write::Overwrite, &mut dx, &[1.0, 1.0], &[1.0, 3.0], &[2.0, 1.0], None, 2);
/// assert_eq!(dx, [0.0, 0.0]); // the sum of a normalized row never changes
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

/// [`crate::rows::rms_norm`].
///
/// ```
/// use tiegrad_kernels::reference;
/// let (mut out, mut stats) = ([0.0_f64; 2], [0.0; 2]);
/// reference::rms_norm(&mut out, &mut stats, &[2.0, -2.0], None, 0.0, 2);
/// assert_eq!((out, stats), ([1.0, -1.0], [0.0, 0.5]));
/// ```
pub fn rms_norm<T: Scalar>(
    out: &mut [T],
    stats: &mut [T],
    x: &[T],
    gamma: Option<&[T]>,
    eps: T,
    cols: usize,
) {
    for (r, (out, x)) in rows_mut(out, cols).zip(rows(x, cols)).enumerate() {
        let square = x.iter().map(|&x| x * x).sum::<T>() / T::from_usize(cols);
        let scale = (square + eps).sqrt().recip();
        (stats[2 * r], stats[2 * r + 1]) = (T::ZERO, scale);
        for i in 0..cols {
            out[i] = x[i] * scale * gamma.map_or(T::ONE, |g| g[i]);
        }
    }
}

/// [`crate::rows::rms_norm_backward_input`].
///
/// ```
/// use tiegrad_kernels::{Write, reference};
/// let mut dx = [0.0_f64; 2];
/// reference::rms_norm_backward_input(Write::Overwrite, &mut dx, &[1.0, 0.0], &[2.0, -2.0], &[0.0, 0.5], None, 2);
/// assert_eq!(dx, [0.25, 0.25]);
/// ```
pub fn rms_norm_backward_input<T: Scalar>(
    w: Write,
    dx: &mut [T],
    dy: &[T],
    x: &[T],
    stats: &[T],
    gamma: Option<&[T]>,
    cols: usize,
) {
    for (r, dx) in rows_mut(dx, cols).enumerate() {
        let at = |i: usize| r * cols + i;
        let scale = stats[2 * r + 1];
        let g = |i: usize| dy[at(i)] * gamma.map_or(T::ONE, |g| g[i]);
        let dot: T = (0..cols).map(|i| g(i) * x[at(i)] * scale).sum();
        for i in 0..cols {
            let mean = dot / T::from_usize(cols);
            put(w, &mut dx[i], scale * (g(i) - x[at(i)] * scale * mean));
        }
    }
}

/// [`crate::rows::layer_norm_backward_params`].
///
/// ```
/// use tiegrad_kernels::{Write, reference};
/// let (mut dgamma, mut dbeta) = ([0.0; 2], [0.0; 2]);
/// let (dgamma_to, dbeta_to) = ((Write::Overwrite, &mut dgamma[..]), (Write::Overwrite, &mut dbeta[..]));
/// reference::layer_norm_backward_params(Some(dgamma_to), Some(dbeta_to), &[1.0, 1.0], &[1.0, 3.0], &[2.0, 1.0], 2);
/// assert_eq!((dgamma, dbeta), ([-1.0, 1.0], [1.0, 1.0]));
/// ```
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
///
/// ```
/// use tiegrad_kernels::reference;
/// let (mut losses, mut lse) = ([0.0_f64], [0.0]);
/// reference::cross_entropy(&mut losses, &mut lse, &[0.0, 0.0], &[1], 2);
/// assert_eq!(losses, [2.0_f64.ln()]);
/// ```
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
///
/// ```
/// use tiegrad_kernels::{Write, reference};
/// let mut dlogits = [0.0_f64; 2];
/// reference::cross_entropy_backward(Write::Overwrite, &mut dlogits, &[0.0, 0.0], &[2.0_f64.ln()], &[1], 2, |_| 1.0);
/// assert!((dlogits[0] - 0.5).abs() < 1e-15 && (dlogits[1] + 0.5).abs() < 1e-15);
/// ```
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
///
/// ```
/// use tiegrad_kernels::reference;
/// let mut out = [0.0; 4];
/// reference::gather_rows(&mut out, &[1.0, 2.0, 3.0, 4.0], 2, &[1, 1]);
/// assert_eq!(out, [3.0, 4.0, 3.0, 4.0]);
/// ```
pub fn gather_rows<T: Scalar>(out: &mut [T], table: &[T], cols: usize, index: &[u32]) {
    for (r, &row) in index.iter().enumerate() {
        for i in 0..cols {
            out[r * cols + i] = table[row as usize * cols + i];
        }
    }
}

/// [`crate::gather::scatter_add_rows`].
///
/// ```
/// use tiegrad_kernels::reference;
/// let mut grad = [0.0; 4];
/// reference::scatter_add_rows(&mut grad, 2, &[1, 1], &[1.0, 2.0, 10.0, 20.0]);
/// assert_eq!(grad, [0.0, 0.0, 11.0, 22.0]);
/// ```
pub fn scatter_add_rows<T: Scalar>(table_grad: &mut [T], cols: usize, index: &[u32], dy: &[T]) {
    for (r, &row) in index.iter().enumerate() {
        for i in 0..cols {
            table_grad[row as usize * cols + i] += dy[r * cols + i];
        }
    }
}

/// [`crate::attention::attention`].
///
/// ```
/// use tiegrad_kernels::reference;
/// # use tiegrad_kernels::attention::{AttentionShape, View4, View4Mut};
/// # let s = AttentionShape { batch: 1, heads: 1, tq: 1, tk: 2, d: 1, dv: 1, causal: false, scale: 1.0 };
/// # fn view(data: &[f64]) -> View4<'_, f64> { View4 { data, strides: [data.len(), 1, 1, 1] } }
/// let (q, k, v) = ([1.0], [3.0, 3.0], [10.0, 20.0]); // one query, two equal keys
/// let (mut out, mut probs) = ([0.0], [0.0; 2]);
/// let to = View4Mut { data: &mut out, strides: [1, 1, 1, 1] };
/// reference::attention(s, to, &mut probs, view(&q), view(&k), view(&v));
/// assert_eq!((probs, out), ([0.5, 0.5], [15.0]));
/// ```
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
///
/// ```
/// use tiegrad_kernels::reference;
/// # use tiegrad_kernels::attention::{AttentionShape, View4};
/// # let s = AttentionShape { batch: 1, heads: 1, tq: 1, tk: 2, d: 1, dv: 1, causal: false, scale: 1.0 };
/// # fn view(data: &[f64]) -> View4<'_, f64> { View4 { data, strides: [data.len(), 1, 1, 1] } }
/// let (probs, dout, v) = ([0.5, 0.5], [1.0], [10.0, 20.0]);
/// let mut ds = [0.0; 2];
/// reference::attention_backward_scores(s, &mut ds, &probs, view(&dout), view(&v));
/// assert_eq!(ds, [-2.5, 2.5]); // the value of the second key is larger
/// ```
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
        let seen = if s.causal {
            (i + 1 + s.tk).saturating_sub(s.tq).min(s.tk)
        } else {
            s.tk
        };
        let dp: Vec<T> = (0..seen)
            .map(|j| {
                let term = |e: usize| {
                    dout.data[dot(&[b, i, h, e], &dout.strides)]
                        * v.data[dot(&[b, j, h, e], &v.strides)]
                };
                (0..s.dv).map(term).sum()
            })
            .collect();
        let sum: T = (0..seen).map(|j| p[j] * dp[j]).sum();
        for j in 0..s.tk {
            ds[start + j] = if j < seen {
                scale * p[j] * (dp[j] - sum)
            } else {
                T::ZERO
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
