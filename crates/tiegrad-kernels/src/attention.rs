//! Scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762) with its probabilities kept, parallel
//! over batch and head. Nothing is allocated: scores are made where the probabilities will be.

use crate::matmul::Gemm;
use crate::reduce::block_sum;
use crate::rows::softmax_rows;
use crate::scalar::Scalar;
use crate::simd::multiversion;
use crate::strided::{BLOCK, disjoint};
use crate::threads::{Shared, parallel_for};

/// Queries that are worked on together in causal attention: keys after the last of them are not looked at.
const QUERIES: usize = 32;

/// The sizes of an attention, its mask and its scale.
///
/// ```
/// use tiegrad_kernels::attention::AttentionShape;
/// let s = AttentionShape { batch: 1, heads: 2, tq: 8, tk: 8, d: 4, dv: 4, causal: true, scale: 0.5 };
/// assert_eq!(s.probs_len(), 128);
/// ```
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct AttentionShape {
    /// Batch size.
    pub batch: usize,
    /// Heads.
    pub heads: usize,
    /// Queries.
    pub tq: usize,
    /// Keys and values.
    pub tk: usize,
    /// Elements of a query and of a key.
    pub d: usize,
    /// Elements of a value.
    pub dv: usize,
    /// Whether query i sees key j only if `j <= i + (tk - tq)`. A query that sees none gives zeros.
    pub causal: bool,
    /// What scores are multiplied by, usually 1/sqrt(d).
    pub scale: f64,
}

impl AttentionShape {
    /// The number of probabilities: `batch * heads * tq * tk`.
    ///
    /// ```
    /// use tiegrad_kernels::attention::AttentionShape;
    /// let s = AttentionShape { batch: 2, heads: 3, tq: 4, tk: 5, d: 8, dv: 8, causal: false, scale: 1.0 };
    /// assert_eq!(s.probs_len(), 2 * 3 * 4 * 5);
    /// ```
    pub const fn probs_len(&self) -> usize {
        self.batch * self.heads * self.tq * self.tk
    }

    /// How many keys query `i` sees.
    #[inline(always)]
    fn visible(&self, i: usize) -> usize {
        if self.causal {
            (i + 1 + self.tk).saturating_sub(self.tq).min(self.tk)
        } else {
            self.tk
        }
    }

    /// Calls `f(first, end, keys)` for blocks of queries and the keys that the last of them sees.
    #[inline(always)]
    fn blocks(&self, mut f: impl FnMut(usize, usize, usize)) {
        let size = if self.causal { QUERIES } else { self.tq.max(1) };
        for first in (0..self.tq).step_by(size) {
            let end = self.tq.min(first + size);
            f(first, end, self.visible(end - 1));
        }
    }

    /// Calls `f(b, h, index)` for all heads of all batches, in parallel if `parallel`.
    fn for_each_head(&self, parallel: bool, f: &(dyn Fn(usize, usize, usize) + Sync)) {
        let work = self.probs_len() * (self.d + self.dv);
        let count = self.batch * self.heads;
        let run = |i: usize| f(i / self.heads, i % self.heads, i);
        if parallel && work >= 1 << 19 {
            parallel_for(count, &run);
        } else {
            (0..count).for_each(run);
        }
    }
}

/// A tensor of four dimensions in a slice: element (b, t, h, d) is at the sum of index times stride.
///
/// ```
/// use tiegrad_kernels::attention::View4;
/// let x = [0.0_f32; 24];
/// let v = View4 { data: &x, strides: [12, 4, 2, 1] }; // (2, 3, 2, 2)
/// assert_eq!(v.strides[1], 4);
/// ```
#[derive(Copy, Clone, Debug)]
pub struct View4<'a, T> {
    /// The elements.
    pub data: &'a [T],
    /// Strides of batch, time, head and element.
    pub strides: [usize; 4],
}

/// A [`View4`] to write to; no two elements at one place.
///
/// ```
/// use tiegrad_kernels::attention::View4Mut;
/// let mut x = [0.0_f32; 24];
/// let v = View4Mut { data: &mut x, strides: [12, 4, 2, 1] };
/// assert_eq!(v.data.len(), 24);
/// ```
#[derive(Debug)]
pub struct View4Mut<'a, T> {
    /// The elements.
    pub data: &'a mut [T],
    /// Strides of batch, time, head and element.
    pub strides: [usize; 4],
}

/// `probs = softmax(scale * q k^T)` with the mask, `out = probs v`: q (batch, tq, heads, d), k (batch, tk, heads, d),
/// v (batch, tk, heads, dv), out (batch, tq, heads, dv), probs (batch, heads, tq, tk) without gaps.
///
/// A key or value that a query does not see, NaN and infinity included, changes nothing of its results but how sums are rounded.
/// O(batch · heads · tq · tk · (d + dv)), about half of it with a causal mask and tq = tk.
///
/// # Panics
/// If a slice is too short for its sizes and strides, or `probs` has not `probs_len` elements.
///
/// ```
/// use tiegrad_kernels::attention::{AttentionShape, View4, View4Mut, attention};
/// let s = AttentionShape { batch: 1, heads: 1, tq: 2, tk: 2, d: 1, dv: 1, causal: true, scale: 1.0 };
/// let strides = [2, 1, 1, 1];
/// let (q, k, v) = ([0.0_f64, 0.0], [1.0, 2.0], [3.0, 5.0]);
/// let (mut out, mut probs) = ([0.0; 2], [0.0; 4]);
/// attention(
///     s, View4Mut { data: &mut out, strides }, &mut probs,
///     View4 { data: &q, strides }, View4 { data: &k, strides }, View4 { data: &v, strides },
/// );
/// assert_eq!(out, [3.0, 4.0]);
/// assert_eq!(probs, [1.0, 0.0, 0.5, 0.5]);
/// ```
pub fn attention<T: Scalar>(
    s: AttentionShape,
    out: View4Mut<'_, T>,
    probs: &mut [T],
    q: View4<'_, T>,
    k: View4<'_, T>,
    v: View4<'_, T>,
) {
    assert_eq!(probs.len(), s.probs_len(), "attention: the length of probs");
    let sizes = [s.batch, s.tq, s.heads, s.dv];
    check(q.data.len(), [s.batch, s.tq, s.heads, s.d], q.strides);
    check(k.data.len(), [s.batch, s.tk, s.heads, s.d], k.strides);
    check(v.data.len(), [s.batch, s.tk, s.heads, s.dv], v.strides);
    check(out.data.len(), sizes, out.strides);
    let parallel = disjoint(&sizes, &out.strides);
    let (out, strides, probs) = (Shared::new(out.data), out.strides, Shared::new(probs));
    let scale = T::from_f64(s.scale);
    s.for_each_head(parallel, &|b, h, index| {
        let at = |s: [usize; 4], t: usize| b * s[0] + t * s[1] + h * s[2];
        // SAFETY: every head has probabilities of its own.
        let probs = unsafe { probs.range(index * s.tq * s.tk, (index + 1) * s.tq * s.tk) };
        s.blocks(|first, end, keys| {
            let rows = end - first;
            let p = &mut probs[first * s.tk..end * s.tk];
            // SAFETY: `check` has seen all that the sizes and strides of q and k reach, and the block of
            // probabilities has `rows` rows of `tk >= keys` elements.
            unsafe {
                let mut g = Gemm::new(rows, keys, s.d);
                g.alpha = scale;
                (g.a, g.a_row, g.a_col) = (
                    q.data.as_ptr().wrapping_add(at(q.strides, first)),
                    q.strides[1],
                    q.strides[3],
                );
                (g.b, g.b_row, g.b_col) = (
                    k.data.as_ptr().wrapping_add(at(k.strides, 0)),
                    k.strides[3],
                    k.strides[1],
                );
                (g.c, g.c_row, g.c_col) = (p.as_mut_ptr(), s.tk, 1);
                g.run();
            }
            softmax_block(&s, p, first);
            let values = |i: usize, rows: usize, keys: usize| {
                let p = &p[(i - first) * s.tk..];
                // SAFETY: as above for v and out, of which these are rows of the block; heads write elements of their own, or one after the
                // other.
                unsafe {
                    let mut g = Gemm::new(rows, s.dv, keys);
                    (g.a, g.a_row, g.a_col) = (p.as_ptr(), s.tk, 1);
                    (g.b, g.b_row, g.b_col) = (
                        v.data.as_ptr().wrapping_add(at(v.strides, 0)),
                        v.strides[1],
                        v.strides[3],
                    );
                    let o = out.pointer().wrapping_add(at(strides, i));
                    (g.c, g.c_row, g.c_col) = (o, strides[1], strides[3]);
                    g.run();
                }
            };
            values(first, rows, keys);
            // Hidden probabilities are 0, which hides a value unless that is not finite. The last query sees all that any of the block does, so
            // its result tells.
            let finite = |i: usize| {
                (0..s.dv).all(|e| {
                    let e = at(strides, i) + e * strides[3];
                    // SAFETY: an element of the block that was just written.
                    unsafe { out.range(e, e + 1) }.iter().all(|x| x.is_finite())
                })
            };
            if s.visible(first) < keys && !finite(end - 1) {
                for i in (first..end - 1).filter(|&i| !finite(i)) {
                    values(i, 1, s.visible(i));
                }
            }
        });
    });
}

/// `ds` = the gradient of the scores `q k^T`: `scale * p * (dp - sum(p * dp))` with `dp = dout v^T`; shapes as in [`attention`],
/// `dout` as `out`, `ds` as `probs`. 0 where a query does not see a key, whatever its value. O(batch · heads · tq · tk · dv).
///
/// What follows are batched products: `dv = probs^T dout`, `dq = ds k`, `dk = ds^T q`. Where these run over hidden pairs too, a NaN or an
/// infinity in `dout`, k or q makes NaN there, since 0 · ∞ is NaN.
///
/// # Panics
/// If a slice is too short for its sizes and strides, or `ds` or `probs` has not `probs_len` elements.
///
/// ```
/// use tiegrad_kernels::attention::{AttentionShape, View4, attention_backward_scores};
/// let s = AttentionShape { batch: 1, heads: 1, tq: 1, tk: 2, d: 1, dv: 1, causal: false, scale: 1.0 };
/// let mut ds = [0.0_f64; 2];
/// let (dout, v) = ([1.0], [1.0, 3.0]);
/// attention_backward_scores(
///     s, &mut ds, &[0.5, 0.5],
///     View4 { data: &dout, strides: [1; 4] }, View4 { data: &v, strides: [2, 1, 1, 1] },
/// );
/// assert_eq!(ds, [-0.5, 0.5]);
/// ```
pub fn attention_backward_scores<T: Scalar>(
    s: AttentionShape,
    ds: &mut [T],
    probs: &[T],
    dout: View4<'_, T>,
    v: View4<'_, T>,
) {
    assert_eq!(
        probs.len(),
        s.probs_len(),
        "attention_backward_scores: the length of probs"
    );
    assert_eq!(
        ds.len(),
        s.probs_len(),
        "attention_backward_scores: the length of ds"
    );
    check(
        dout.data.len(),
        [s.batch, s.tq, s.heads, s.dv],
        dout.strides,
    );
    check(v.data.len(), [s.batch, s.tk, s.heads, s.dv], v.strides);
    let ds = Shared::new(ds);
    s.for_each_head(true, &|b, h, index| {
        let at = |s: [usize; 4], t: usize| b * s[0] + t * s[1] + h * s[2];
        let start = index * s.tq * s.tk;
        // SAFETY: every head has scores of its own.
        let ds = unsafe { ds.range(start, start + s.tq * s.tk) };
        s.blocks(|first, end, keys| {
            let d = &mut ds[first * s.tk..end * s.tk];
            // SAFETY: `check` has seen all that the sizes and strides of dout and v reach, and the block of
            // scores has `end - first` rows of `tk >= keys` elements.
            unsafe {
                let mut g = Gemm::new(end - first, keys, s.dv);
                (g.a, g.a_row, g.a_col) = (
                    dout.data.as_ptr().wrapping_add(at(dout.strides, first)),
                    dout.strides[1],
                    dout.strides[3],
                );
                (g.b, g.b_row, g.b_col) = (
                    v.data.as_ptr().wrapping_add(at(v.strides, 0)),
                    v.strides[3],
                    v.strides[1],
                );
                (g.c, g.c_row, g.c_col) = (d.as_mut_ptr(), s.tk, 1);
                g.run();
            }
            backward_block(
                &s,
                d,
                &probs[start + first * s.tk..start + end * s.tk],
                first,
            );
        });
    });
}

fn check(len: usize, sizes: [usize; 4], strides: [usize; 4]) {
    let mut last = 0_usize;
    for (n, stride) in sizes.into_iter().zip(strides) {
        if n == 0 {
            return;
        }
        last = last.saturating_add((n - 1).saturating_mul(stride));
    }
    assert!(last < len, "a view reaches beyond its slice");
}

multiversion! {
    /// Scores to probabilities, for rows from query `first` on.
    avx512 [T: Scalar as N]
    fn softmax_block(s: &AttentionShape, p: &mut [T], first: usize) -> () {
        if s.tk == 0 {
            return;
        }
        softmax_rows::<T, N>(p, s.tk, |i| s.visible(first + i));
    }
}

multiversion! {
    /// Gradients of probabilities to gradients of scores, for rows from query `first` on.
    [T: Scalar]
    fn backward_block(s: &AttentionShape, d: &mut [T], p: &[T], first: usize) -> () {
        if s.tk == 0 {
            return;
        }
        let scale = T::from_f64(s.scale);
        for (i, (d, p)) in d.chunks_exact_mut(s.tk).zip(p.chunks_exact(s.tk)).enumerate() {
            let seen = s.visible(first + i);
            let p = &p[..seen];
            let (d, hidden) = d.split_at_mut(seen);
            let mut dot = T::ZERO;
            for (d, p) in d.chunks(BLOCK).zip(p.chunks(BLOCK)) {
                dot += block_sum([d, p], None, |[d, p]| d * p);
            }
            for (d, &p) in d.iter_mut().zip(p) {
                *d = p * (*d - dot) * scale;
            }
            hidden.fill(T::ZERO);
        }
    }
}

#[cfg(test)]
mod tests;
