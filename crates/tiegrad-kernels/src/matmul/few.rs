//! Products of a few rows with a large right operand, which takes about the time of reading that.

use super::Gemm;
use super::lines::store;
use super::vector::Vector;
use crate::scalar::Arithmetic;
use std::mem::MaybeUninit;

/// Most rows of a product by [`rows`].
pub(super) const FEW: usize = 16;
/// Bytes of sums of a row: with the rows of `b` that pass over them, they stay in the first-level cache.
const SUMS: usize = 2048;

/// A few rows times a `b` with contiguous rows, which are read in the order of memory, a few at a time, past the sums of all rows.
///
/// # Safety
/// As [`Kernel::run`]; k <= KC, m <= FEW.
#[inline(always)]
pub(super) unsafe fn rows<V: Vector>(g: &Gemm<V::Elem>) {
    #[repr(align(64))]
    struct Sums([MaybeUninit<u8>; FEW * SUMS]);
    let mut sums = Sums([MaybeUninit::uninit(); FEW * SUMS]);
    let sums: *mut V::Elem = sums.0.as_mut_ptr().cast();
    let width = if g.m == 1 {
        1024
    } else {
        SUMS / size_of::<V::Elem>()
    };
    // Rows that lie whole pages apart fall on one set of the cache.
    let apart = (g.b_row * size_of::<V::Elem>()).is_multiple_of(4096);
    for j in (0..g.n).step_by(width) {
        let part = g.part(0, g.m, j, width.min(g.n - j));
        // SAFETY: columns and p are within the sizes; the sums have room for `width` columns of all rows, and the first step writes them all.
        unsafe {
            let mut p = 0;
            while !apart && g.k - p >= 8 {
                add_all::<V, 8>(&part, p, sums, width);
                p += 8;
            }
            while g.k - p >= 4 {
                add_all::<V, 4>(&part, p, sums, width);
                p += 4;
            }
            while p < g.k {
                add_all::<V, 1>(&part, p, sums, width);
                p += 1;
            }
            for i in 0..g.m {
                for j in (0..part.n).step_by(V::LANES) {
                    store(&part, i, j, V::load(sums.add(i * width + j)));
                }
            }
            part.activate(0, g.m, 0, part.n);
        }
    }
}

/// Adds rows `p..p + R` of `b` to the sums of all rows, which are `width` apart.
///
/// # Safety
/// As [`rows`]; the rows are within the sizes.
#[inline(always)]
unsafe fn add_all<V: Vector, const R: usize>(
    g: &Gemm<V::Elem>,
    p: usize,
    sums: *mut V::Elem,
    width: usize,
) {
    let mut i = 0;
    // SAFETY: rows are within the sizes.
    unsafe {
        while g.m - i >= 2 {
            add::<V, 2, R>(g, i, p, sums.add(i * width), width);
            i += 2;
        }
        if i < g.m {
            add::<V, 1, R>(g, i, p, sums.add(i * width), width);
        }
    }
}

/// Adds rows `p..p + R` of `b`, times their elements of `a`, to the sums of rows `i..i + I`, one after the other; the first ones to zeros.
///
/// # Safety
/// As [`rows`]; the rows are within the sizes.
#[inline(always)]
unsafe fn add<V: Vector, const I: usize, const R: usize>(
    g: &Gemm<V::Elem>,
    i: usize,
    p: usize,
    sums: *mut V::Elem,
    width: usize,
) {
    // SAFETY: promised by the caller.
    unsafe {
        let mut x = [[V::splat(V::Elem::ZERO); R]; I];
        let mut b = [g.b; R];
        for r in 0..R {
            for (q, x) in x.iter_mut().enumerate() {
                x[r] = V::splat(*g.a.add((i + q) * g.a_row + (p + r) * g.a_col));
            }
            b[r] = g.b.wrapping_add((p + r) * g.b_row);
        }
        let sum = |q: usize, j: usize| {
            if p == 0 {
                V::splat(V::Elem::ZERO)
            } else {
                V::load(sums.add(q * width + j))
            }
        };
        let mut j = 0;
        while g.n - j >= V::LANES {
            let mut y = [V::splat(V::Elem::ZERO); I];
            for q in 0..I {
                y[q] = sum(q, j);
            }
            for r in 0..R {
                let b = V::load(b[r].add(j));
                for q in 0..I {
                    y[q] = x[q][r].mul_add(b, y[q]);
                }
            }
            for q in 0..I {
                y[q].store(sums.add(q * width + j));
            }
            j += V::LANES;
        }
        if j < g.n {
            let mut y = [V::splat(V::Elem::ZERO); I];
            for q in 0..I {
                y[q] = sum(q, j);
            }
            for r in 0..R {
                let b = V::load_part(b[r].add(j), g.n - j);
                for q in 0..I {
                    y[q] = x[q][r].mul_add(b, y[q]);
                }
            }
            for q in 0..I {
                y[q].store(sums.add(q * width + j));
            }
        }
    }
}
