//! Products over threads: rows and columns of the result are cut, never a sum, so that the bits do not depend on how many there are.

use super::{Gemm, MatmulShape, prepare_thread};
use crate::cache::begin_at_lines;
use crate::scalar::Scalar;
use crate::strided::disjoint;
use crate::threads::{self, parallel_for};

/// Multiply-adds from which a second thread pays.
pub(super) const PARALLEL: usize = 1 << 19;
/// Multiply-adds from which operands are copied whole.
const LARGE: usize = 1 << 24;
/// Bytes of a `b` that each thread may read; a quarter of it if each must copy it too.
const NEAR: usize = 256 << 10;

/// One large product over threads: columns where there are many (so that each part of `b` is packed once), else
/// rows.
///
/// # Safety
/// As [`Scalar::gemm`].
#[inline(never)]
pub(super) unsafe fn split<T: Scalar>(g: &Gemm<T>) {
    prepare_thread();
    let threads = threads::num_threads();
    // A result that overlaps itself would be a bug of the caller; it must not become a data race.
    if threads == 1 || !disjoint(&[g.m, g.n], &[g.c_row, g.c_col]) {
        // SAFETY: promised by the caller.
        return unsafe { T::gemm(g) };
    }
    // Where rows of the result do not begin at lines of the cache, parts side by side share one in every row, for which threads wait; parts one below the other share one line in all, but
    // each reads all of `b`. (Measured on Emerald Rapids: 1.05 to 1.7 times as fast.)
    let size = size_of::<T>();
    let apart = begin_at_lines(g.c, g.c_row);
    let near =
        g.k.saturating_mul(g.n).saturating_mul(size) <= if g.b_col == 1 { NEAR } else { NEAR / 4 };
    let below = !apart && near && g.m >= 48 * threads;
    let by_columns = g.n >= 128 && g.n >= g.m && !below || g.n > 1 && g.m < 12 * threads;
    let (len, unit) = if by_columns { (g.n, 32) } else { (g.m, 24) };
    // A few parts per thread, so that a thread that starts late takes fewer; not many of a large product, since each copies
    // the operand that it shares with the others.
    let work = g.m.saturating_mul(g.n).saturating_mul(g.k);
    let parts = if work < LARGE { 4 } else { 2 };
    let size = len.div_ceil(parts * threads).next_multiple_of(unit);
    parallel_for(len.div_ceil(size), &|part| {
        let start = part * size;
        let size = size.min(len - start);
        let g = if by_columns {
            g.part(0, g.m, start, size)
        } else {
            g.part(start, size, 0, g.n)
        };
        // SAFETY: parts reach what the whole does, and no two the same element of `c`.
        unsafe { T::gemm(&g) };
    });
}

/// All products of a batch; `strides` are those of the batches of operands as `g` has them and of the result, `c` those of the result's rows and columns.
///
/// # Safety
/// As [`Scalar::gemm`], for every product of the batch.
#[inline(never)]
pub(super) unsafe fn batched<T: Scalar>(
    g: &Gemm<T>,
    s: MatmulShape,
    strides: [[usize; 2]; 3],
    c: [usize; 2],
) {
    let [a, b, c_batch] = strides;
    let [b0, b1] = s.batch;
    let count = b0 * b1;
    let one = |i: usize| {
        let (i0, i1) = (i / b1, i % b1);
        let mut g = *g;
        g.a = g.a.wrapping_add(i0 * a[0] + i1 * a[1]);
        g.b = g.b.wrapping_add(i0 * b[0] + i1 * b[1]);
        g.c = g.c.wrapping_add(i0 * c_batch[0] + i1 * c_batch[1]);
        g
    };
    let work =
        g.m.saturating_mul(g.n)
            .saturating_mul(g.k)
            .saturating_mul(count);
    let threads = if work < PARALLEL {
        1
    } else {
        threads::num_threads()
    };
    if threads == 1 || !disjoint(&[b0, b1, s.m, s.n], &[c_batch[0], c_batch[1], c[0], c[1]]) {
        for i in 0..count {
            // SAFETY: promised by the caller.
            unsafe { T::gemm(&one(i)) };
        }
    } else if count < threads {
        for i in 0..count {
            // SAFETY: promised by the caller.
            unsafe { split(&one(i)) };
        }
    } else {
        let size = count.div_ceil(8 * threads);
        parallel_for(count.div_ceil(size), &|part| {
            for i in part * size..count.min((part + 1) * size) {
                // SAFETY: promised by the caller; no two products share an element of `c`.
                unsafe { T::gemm(&one(i)) };
            }
        });
    }
}
